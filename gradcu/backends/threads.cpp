// The threads that share a large loop. After its part each waits for the next one awake for a while, because to be woken
// takes longer than most loops, and then sleeps.

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

struct Worker {
    std::atomic<bool> busy{false};
    std::mutex lock;
    std::condition_variable wake;
    Work work;
    void* data;
    ptrdiff_t begin, end;

    void give(Work w, void* d, ptrdiff_t b, ptrdiff_t e) {
        work = w, data = d, begin = b, end = e;
        {
            std::lock_guard<std::mutex> held(lock);
            busy.store(true, std::memory_order_release);
        }
        wake.notify_one();
    }

    void loop() {
        for (;;) {
            for (int i = 0; i < AWAKE && !busy.load(std::memory_order_acquire); i++) pause_briefly();
            if (!busy.load(std::memory_order_acquire)) {
                std::unique_lock<std::mutex> held(lock);
                wake.wait(held, [this] { return busy.load(std::memory_order_acquire); });
            }
            work(data, begin, end);
            busy.store(false, std::memory_order_release);
        }
    }

    void wait() {
        for (int i = 0; busy.load(std::memory_order_acquire); i++) {
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
    n = pool->have(n - 1) + 1;
    for (int i = 1; i < n; i++) pool->workers[i - 1]->give(work, data, size * i / n, size * (i + 1) / n);
    work(data, 0, size / n);
    for (int i = 1; i < n; i++) pool->workers[i - 1]->wait();
}
