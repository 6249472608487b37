// The calls of the CUDA runtime and driver that CuPy makes, over host memory, for one device that does not exist.
//
// CuPy's Cython modules reach CUDA through the function pointers that `cupy_backends.cuda.api.runtime` and `.driver`
// export; `hostcupy.py` puts the functions below (`runtime_malloc` for `runtime.malloc`, ...) in their place. So each
// has the signature that Cython gave the original, its trailing `skip_dispatch` included. A CUDA thread is a fiber,
// blocks run one after another, and all happens on the calling thread: a launch has ended when it returns.
#include <Python.h>
#include <dlfcn.h>
#include <setjmp.h>
#include <ucontext.h>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

struct Dim { unsigned x, y, z; };

static PyObject *done() { Py_RETURN_NONE; }
template <class... Args> static PyObject *fail(const char *format, Args... args) {
  return PyErr_Format(PyExc_RuntimeError, format, args...);
}
static PyObject *cuda_error(int status) {
  PyObject *module = PyImport_ImportModule("cupy_backends.cuda.api.runtime");
  PyObject *kind = module ? PyObject_GetAttrString(module, "CUDARuntimeError") : nullptr;
  PyObject *error = kind ? PyObject_CallFunction(kind, "i", status) : nullptr;
  if (error) PyErr_SetObject(kind, error);
  Py_XDECREF(error);
  Py_XDECREF(kind);
  Py_XDECREF(module);
  return nullptr;
}

// ---- one block of threads, as fibers -------------------------------------------------------------------------------
extern "C" {
Dim threadIdx, blockIdx, blockDim, gridDim;  // the names a kernel reads, set when a thread is resumed
void *host_dynamic_shared;
int host_schedule = 0;  // 0: threads and blocks in order, 1: in reverse, others: random orders of warps
}

namespace {
constexpr unsigned WARP = 32;
constexpr size_t STACK = 128 << 10;
enum State { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, FINISHED };

struct Fiber {
  sigjmp_buf resume;
  char *stack = nullptr;
  State state = FINISHED;
  unsigned mask = 0;  // of the warp barrier that it waits at
};

std::vector<Fiber *> fibers;  // made once, kept for every later launch
std::vector<uint64_t> slots;
sigjmp_buf scheduler;
unsigned count, alive, current, at_barrier;
int barrier_line;
std::string problem;
void (*kernel)(void **);
void **kernel_args;

void suspend() {
  if (!_setjmp(fibers[current]->resume)) _longjmp(scheduler, 1);
}

void release_block() {
  if (!at_barrier || at_barrier < alive) return;
  at_barrier = 0;
  for (unsigned rank = 0; rank < count; rank++)
    if (fibers[rank]->state == AT_BLOCK_BARRIER) fibers[rank]->state = READY;
}

// Lets each waiting lane of a warp go whose mask names only lanes that wait with the same mask or have finished.
void release_warp(unsigned first) {
  unsigned end = std::min(first + WARP, count);
  for (unsigned rank = first; rank < end; rank++) {
    if (fibers[rank]->state != AT_WARP_BARRIER) continue;
    unsigned mask = fibers[rank]->mask;
    bool complete = true;
    for (unsigned other = first; other < end; other++) {
      if (!(mask >> (other - first) & 1)) continue;
      Fiber *lane = fibers[other];
      complete &= lane->state == FINISHED || (lane->state == AT_WARP_BARRIER && lane->mask == mask);
    }
    if (!complete) continue;
    for (unsigned other = first; other < end; other++)
      if (fibers[other]->state == AT_WARP_BARRIER && fibers[other]->mask == mask) fibers[other]->state = READY;
  }
}

void fiber_main() {
  for (;;) {  // one turn for each thread that this fiber ever plays
    kernel(kernel_args);
    fibers[current]->state = FINISHED;
    alive--;
    release_block();
    release_warp(current / WARP * WARP);
    suspend();
  }
}

void make_fiber() {
  Fiber *fiber = new Fiber;
  fiber->stack = static_cast<char *>(malloc(STACK));
  fibers.push_back(fiber);
  ucontext_t context, here;
  static Fiber *starting;
  starting = fiber;
  getcontext(&context);
  context.uc_stack.ss_sp = fiber->stack;
  context.uc_stack.ss_size = STACK;
  context.uc_link = nullptr;
  static ucontext_t *back;
  back = &here;
  makecontext(&context, +[] {
    if (!_setjmp(starting->resume)) setcontext(back);
    fiber_main();
  }, 0);
  swapcontext(&here, &context);
}

bool run(unsigned rank) {
  Fiber *fiber = fibers[rank];
  if (fiber->state != READY) return false;
  current = rank;
  threadIdx = {rank % blockDim.x, rank / blockDim.x % blockDim.y, rank / (blockDim.x * blockDim.y)};
  if (!_setjmp(scheduler)) _longjmp(fiber->resume, 1);
  return true;
}

// A warp runs as far as it gets before the next one does: the largest skew, so that a missing barrier shows.
bool run_warp(unsigned first) {
  bool progress = false, again = true;
  while (again) {
    again = false;
    for (unsigned i = 0; i < WARP && problem.empty(); i++) {
      unsigned rank = first + (host_schedule % 2 ? WARP - 1 - i : i);
      if (rank < count) again |= run(rank);
    }
    progress |= again;
  }
  return progress;
}

void run_block() {
  count = alive = blockDim.x * blockDim.y * blockDim.z;
  at_barrier = 0;
  while (fibers.size() < count) make_fiber();
  for (unsigned rank = 0; rank < count; rank++) fibers[rank]->state = READY;
  unsigned warps = (count + WARP - 1) / WARP;
  slots.assign(warps * WARP, 0);
  unsigned random = host_schedule;
  for (bool progress = true; progress && alive && problem.empty();) {
    progress = false;
    random = random * 1664525u + 1013904223u;
    for (unsigned i = 0; i < warps; i++) {
      unsigned warp = host_schedule == 0 ? i : host_schedule == 1 ? warps - 1 - i : (i + (random >> 8)) % warps;
      progress |= run_warp(warp * WARP);
    }
  }
  if (alive && problem.empty())
    problem = std::to_string(alive) + " of " + std::to_string(count) +
              " threads wait at a barrier that the others never reach";
}
}  // namespace

extern "C" {
unsigned host_lane() { return current % WARP; }
uint64_t *host_warp_slots() { return &slots[current / WARP * WARP]; }

void host_sync_block(int line) {
  if (at_barrier && line != barrier_line) {
    problem = "threads of one block wait at different barriers, in lines " + std::to_string(barrier_line) + " and " +
              std::to_string(line);
    return suspend();
  }
  barrier_line = line;
  at_barrier++;
  fibers[current]->state = AT_BLOCK_BARRIER;
  release_block();
  if (fibers[current]->state != READY) suspend();
}

void host_sync_warp(unsigned mask) {
  if (!(mask >> host_lane() & 1)) problem = "a lane calls a warp barrier whose mask does not name it";
  fibers[current]->state = AT_WARP_BARRIER;
  fibers[current]->mask = mask;
  release_warp(current / WARP * WARP);
  if (fibers[current]->state != READY) suspend();
}
}

// ---- memory --------------------------------------------------------------------------------------------------------
// Fresh memory is all ones (NaN as a float); a guard behind each block shows on release whether a kernel wrote there.
namespace {
constexpr size_t GUARD = 64;
constexpr int UNSET = 0xff, FENCE = 0xa5;
std::map<intptr_t, size_t> blocks;
size_t allocated = 0;
}  // namespace

extern "C" {
intptr_t runtime_malloc(size_t size, int) {
  char *block = static_cast<char *>(aligned_alloc(512, (size + GUARD + 511) / 512 * 512));
  if (!block) return PyErr_NoMemory(), 0;
  memset(block, UNSET, size);
  memset(block + size, FENCE, GUARD);
  blocks[reinterpret_cast<intptr_t>(block)] = size;
  allocated += size;
  return reinterpret_cast<intptr_t>(block);
}
PyObject *runtime_free(intptr_t pointer, int) {
  auto found = blocks.find(pointer);
  if (found == blocks.end()) return fail("free of %p, which is no device memory", pointer);
  char *block = reinterpret_cast<char *>(pointer);
  for (size_t i = 0; i < GUARD; i++) {
    if (static_cast<unsigned char>(block[found->second + i]) == FENCE) continue;
    fprintf(stderr, "a kernel wrote past the end of a device array of %zu bytes\n", found->second);
    abort();  // memory is released by destructors, which cannot raise
  }
  allocated -= found->second;
  blocks.erase(found);
  free(block);
  return done();
}
intptr_t runtime_mallocAsync(size_t size, intptr_t, int) { return runtime_malloc(size, 0); }
PyObject *runtime_freeAsync(intptr_t pointer, intptr_t, int) { return runtime_free(pointer, 0); }
intptr_t runtime_hostAlloc(size_t size, unsigned, int) { return reinterpret_cast<intptr_t>(malloc(size ? size : 1)); }
PyObject *runtime_freeHost(intptr_t pointer, int) { return free(reinterpret_cast<void *>(pointer)), done(); }
PyObject *runtime_memGetInfo(int) {
  size_t total = size_t(8) << 30;
  return Py_BuildValue("nn", Py_ssize_t(total - allocated), Py_ssize_t(total));
}
int runtime_pointerGetMemoryType(intptr_t pointer, int) {
  enum { UNREGISTERED = 0, DEVICE = 2 };
  auto after = blocks.upper_bound(pointer);
  if (after == blocks.begin()) return UNREGISTERED;
  auto block = std::prev(after);
  return pointer <= block->first + intptr_t(block->second) ? DEVICE : UNREGISTERED;
}
PyObject *runtime_memcpy(intptr_t to, intptr_t from, size_t size, int, int) {
  memmove(reinterpret_cast<void *>(to), reinterpret_cast<void *>(from), size);
  return done();
}
PyObject *runtime_memcpyAsync(intptr_t to, intptr_t from, size_t size, int kind, intptr_t, int) {
  return runtime_memcpy(to, from, size, kind, 0);
}
PyObject *runtime_memcpyPeer(intptr_t to, int, intptr_t from, int, size_t size, int) {
  return runtime_memcpy(to, from, size, 0, 0);
}
PyObject *runtime_memcpyPeerAsync(intptr_t to, int, intptr_t from, int, size_t size, intptr_t, int) {
  return runtime_memcpy(to, from, size, 0, 0);
}
PyObject *runtime_memset(intptr_t to, int value, size_t size, int) {
  memset(reinterpret_cast<void *>(to), value, size);
  return done();
}
PyObject *runtime_memsetAsync(intptr_t to, int value, size_t size, intptr_t, int) {
  return runtime_memset(to, value, size, 0);
}

// ---- the device, its streams and events ----------------------------------------------------------------------------
PyObject *runtime__ensure_context() { return done(); }
int runtime_getDeviceCount(int) { return 1; }
int runtime_getDevice(int) { return 0; }
PyObject *runtime_setDevice(int device, int) { return device ? cuda_error(101) : done(); }  // invalid device ordinal
int runtime_driverGetVersion(int) { return 13000; }
int runtime_runtimeGetVersion(int) { return 13000; }
int runtime_deviceCanAccessPeer(int, int, int) { return 0; }
int runtime_deviceGetAttribute(int attribute, int, int) {
  enum { MAX_THREADS = 1, MAX_SHARED = 8, WARP_SIZE = 10, PROCESSORS = 16, MAJOR = 75, MINOR = 76 };  // cudaDeviceAttr
  switch (attribute) {
    case MAX_THREADS: return 1024;
    case MAX_SHARED: return 48 << 10;
    case WARP_SIZE: return WARP;
    case PROCESSORS: return 4;
    case MAJOR: return 9;
    default: return 0;  // MINOR and the optional features
  }
}
PyObject *runtime_getDeviceProperties(int, int) {
  return Py_BuildValue("{s:y,s:n,s:i,s:i,s:i,s:i,s:i}", "name", "Host-backed test device", "totalGlobalMem",
                       Py_ssize_t(8) << 30, "major", 9, "minor", 0, "multiProcessorCount", 4, "warpSize", int(WARP),
                       "maxThreadsPerBlock", 1024);
}
PyObject *runtime_deviceGetPCIBusId(int, int) { return PyUnicode_FromString("0000:00:00.0"); }
PyObject *runtime_deviceSynchronize(int) { return done(); }

static intptr_t next_handle = 0x1000;
intptr_t runtime_streamCreate(int) { return next_handle++; }
intptr_t runtime_streamCreateWithFlags(unsigned, int) { return next_handle++; }
intptr_t runtime_streamCreateWithPriority(unsigned, int, int) { return next_handle++; }
unsigned runtime_streamGetFlags(intptr_t, int) { return 0; }
int runtime_streamGetPriority(intptr_t, int) { return 0; }
int runtime_streamIsCapturing(intptr_t, int) { return 0; }
PyObject *runtime_streamDestroy(intptr_t, int) { return done(); }
PyObject *runtime_streamSynchronize(intptr_t, int) { return done(); }
PyObject *runtime_streamQuery(intptr_t, int) { return PyLong_FromLong(0); }
PyObject *runtime_streamWaitEvent(intptr_t, intptr_t, int, void *) { return done(); }

static std::unordered_map<intptr_t, std::chrono::steady_clock::time_point> events;
intptr_t runtime_eventCreate(int) { return next_handle++; }
intptr_t runtime_eventCreateWithFlags(unsigned, int) { return next_handle++; }
PyObject *runtime_eventDestroy(intptr_t event, int) { return events.erase(event), done(); }
PyObject *runtime_eventRecord(intptr_t event, intptr_t, int) {
  events[event] = std::chrono::steady_clock::now();
  return done();
}
PyObject *runtime_eventQuery(intptr_t, int) { return PyLong_FromLong(0); }
PyObject *runtime_eventSynchronize(intptr_t, int) { return done(); }
float runtime_eventElapsedTime(intptr_t start, intptr_t end, int) {
  return std::chrono::duration<float, std::milli>(events[end] - events[start]).count();
}

// ---- modules and launches: a module is a shared library, whose path stands for CUDA's binary -----------------------
intptr_t driver_moduleLoadData(PyObject *binary, int) {
  const char *path = PyBytes_AsString(binary);
  if (!path) return 0;
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) fail("%s", dlerror());
  return reinterpret_cast<intptr_t>(library);
}
PyObject *driver_moduleUnload(intptr_t, int) { return done(); }  // stays loaded: kernels outlive it
intptr_t driver_moduleGetFunction(intptr_t library, PyObject *name, int) {
  const char *text = PyUnicode_AsUTF8(name);
  if (!text) return 0;
  void *symbol = dlsym(reinterpret_cast<void *>(library), (std::string("host_kernel_") + text).c_str());
  if (!symbol) fail("no kernel named %s in this module", text);
  return reinterpret_cast<intptr_t>(symbol);
}
intptr_t driver_moduleGetGlobal(intptr_t library, PyObject *name, int) {
  const char *text = PyUnicode_AsUTF8(name);
  if (!text) return 0;
  void *symbol = dlsym(reinterpret_cast<void *>(library), text);
  if (!symbol) fail("no global named %s in this module", text);
  return reinterpret_cast<intptr_t>(symbol);
}
int driver_funcGetAttribute(int, intptr_t, int) { return 1024; }
PyObject *driver_funcSetAttribute(intptr_t, int, int, int) { return done(); }
intptr_t driver_ctxGetCurrent(int) { return 1; }
int driver_ctxGetDevice(int) { return 0; }
int driver_occupancyMaxActiveBlocksPerMultiprocessor(intptr_t, int, size_t, int) { return 1; }

PyObject *driver_launchKernel(intptr_t function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                              unsigned block_y, unsigned block_z, unsigned shared_bytes, intptr_t, intptr_t params,
                              intptr_t, int) {
  gridDim = {grid_x, grid_y, grid_z};
  blockDim = {block_x, block_y, block_z};
  uint64_t threads = uint64_t(block_x) * block_y * block_z;
  if (!threads || threads > 1024 || !grid_x || !grid_y || !grid_z || grid_y > 65535 || grid_z > 65535)
    return fail("invalid launch of a grid of (%u, %u, %u) blocks of (%u, %u, %u) threads", grid_x, grid_y, grid_z,
                block_x, block_y, block_z);
  kernel = reinterpret_cast<void (*)(void **)>(function);
  kernel_args = reinterpret_cast<void **>(params);
  std::vector<unsigned char> shared(16 + shared_bytes + GUARD);
  unsigned char *dynamic = shared.data() + 16 - reinterpret_cast<uintptr_t>(shared.data()) % 16;
  host_dynamic_shared = dynamic;
  problem.clear();
  uint64_t total = uint64_t(grid_x) * grid_y * grid_z;
  for (uint64_t i = 0; i < total && problem.empty(); i++) {
    uint64_t block = host_schedule == 1 ? total - 1 - i : i;
    blockIdx = {unsigned(block % grid_x), unsigned(block / grid_x % grid_y), unsigned(block / grid_x / grid_y)};
    memset(dynamic, UNSET, shared_bytes);
    memset(dynamic + shared_bytes, FENCE, GUARD);
    run_block();
    if (problem.empty() && std::count(dynamic + shared_bytes, dynamic + shared_bytes + GUARD, FENCE) != GUARD)
      problem = "wrote past its " + std::to_string(shared_bytes) + " bytes of dynamic shared memory";
  }
  if (problem.empty()) return done();
  fibers.clear();  // those are stuck in the middle of this kernel: abandoned, never resumed
  return fail("block (%u, %u, %u): %s", blockIdx.x, blockIdx.y, blockIdx.z, problem.c_str());
}
PyObject *driver_launchCooperativeKernel(intptr_t, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                                         intptr_t, intptr_t, int) {
  return fail("the host-backed test device runs one block at a time: no cooperative launches");
}
}
