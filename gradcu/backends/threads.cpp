// The threads that share a large loop. All take pieces of it, the caller too, until none is left; so a thread that the
// system has put aside, or is slow to wake, holds nobody up. After its work a thread stays awake for a while, because to
// be woken takes longer than most loops.

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>
#endif

typedef void (*Work)(void* data, ptrdiff_t begin, ptrdiff_t end);

static void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

static const int AWAKE = 4000;  // pauses: around 0.1 ms

// A loop, and which of its elements are next.
struct Job {
    Work work;
    void* data;
    ptrdiff_t size, piece;
    std::atomic<ptrdiff_t> next{0};

    Job(Work work, void* data, ptrdiff_t size, ptrdiff_t piece) : work(work), data(data), size(size), piece(piece) {}

    void run() {
        for (;;) {
            ptrdiff_t begin = next.fetch_add(piece, std::memory_order_relaxed);
            if (begin >= size) return;
            work(data, begin, begin + piece < size ? begin + piece : size);
        }
    }
};

struct Worker {
    enum { idle, given, running };
    std::atomic<int> state{idle};
    std::mutex lock;
    std::condition_variable wake;
    Job* job = nullptr;

    void give(Job* j) {
        job = j;
        {
            std::lock_guard<std::mutex> held(lock);
            state.store(given, std::memory_order_release);
        }
        wake.notify_one();
    }

    void loop() {
        for (;;) {
            for (int i = 0; i < AWAKE && state.load(std::memory_order_relaxed) != given; i++) pause_briefly();
            if (state.load(std::memory_order_relaxed) != given) {
                std::unique_lock<std::mutex> held(lock);
                if (state.load(std::memory_order_relaxed) != given) wake.wait(held);
            }
            int expected = given;
            if (!state.compare_exchange_strong(expected, running, std::memory_order_acquire)) continue;  // too late: stay awake
            job->run();
            state.store(idle, std::memory_order_release);
        }
    }

    // Take the job back if it has not been started, else wait for its end.
    void finish() {
        int expected = given;
        if (state.compare_exchange_strong(expected, idle, std::memory_order_acquire)) return;
        for (int i = 0; state.load(std::memory_order_acquire) != idle; i++) {
            if (i < AWAKE) pause_briefly();
            else std::this_thread::yield();
        }
    }
};

struct Pool {
    std::mutex taken;
    std::vector<std::unique_ptr<Worker>> workers;

    // Have `count` workers, or as many as the system allows. Signals are for Python's main thread.
    int have(int count) {
#if defined(__unix__) || defined(__APPLE__)
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
#endif
        try {
            while ((int)workers.size() < count) {
                workers.emplace_back(new Worker);
                Worker* worker = workers.back().get();
                try {
                    std::thread([worker] { worker->loop(); }).detach();
                } catch (...) {
                    workers.pop_back();
                    throw;
                }
            }
        } catch (...) {
            count = (int)workers.size();
        }
#if defined(__unix__) || defined(__APPLE__)
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
#endif
        return count;
    }
};

static Pool* pool = new Pool;  // never freed: its threads may outlive everything else

#if defined(__unix__) || defined(__APPLE__)
// A forked child has none of its parent's threads.
static const int registered = pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
#endif

// Run work(data, begin, end) over all of `size` in `n` threads, of which the caller is one; alone if they are taken.
extern "C" void share(Work work, void* data, ptrdiff_t size, int n) {
    std::unique_lock<std::mutex> held(pool->taken, std::try_to_lock);
    if (!held.owns_lock()) {
        work(data, 0, size);
        return;
    }
    int helpers = pool->have(n - 1);
    ptrdiff_t piece = (size / (8 * n) / 1024 + 1) * 1024;
    Job job(work, data, size, piece);
    for (int i = 0; i < helpers; i++) pool->workers[i]->give(&job);
    job.run();
    for (int i = 0; i < helpers; i++) pool->workers[i]->finish();
}
