#include "node/background.h"

#include <system_error>
#include <thread>

namespace trt_asr::node {

namespace {

struct Task;
void finish(Napi::Env env, Napi::Function, std::nullptr_t*, Task* task);
using Completion = Napi::TypedThreadSafeFunction<std::nullptr_t, Task, finish>;

struct Task {
  std::function<void()> work;
  std::function<void(Napi::Env)> done;
  std::function<void()> cancel;
  std::thread thread;
  Completion completion;
};

/// The environment dies before the task is done. Runs before the completion's own clean-up, which was added
/// earlier.
void abandon(void* data) {
  auto* task = static_cast<Task*>(data);
  if (task->cancel) task->cancel();
  task->thread.join();
  delete task;
}

void finish(Napi::Env env, Napi::Function, std::nullptr_t*, Task* task) {
  if (env == nullptr) return;  // Abandoned: the task is gone.
  napi_remove_env_cleanup_hook(env, abandon, task);
  if (task->thread.joinable()) task->thread.join();
  const Napi::HandleScope scope(env);
  task->done(env);
  task->completion.Release();
  delete task;
}

}  // namespace

void run_in_background(Napi::Env env, std::function<void()> work, std::function<void(Napi::Env)> done,
                       std::function<void()> cancel) {
  auto* task = new Task{std::move(work), std::move(done), std::move(cancel), {}, {}};
  task->completion = Completion::New(env, "trt-asr", 0, 1);
  napi_add_env_cleanup_hook(env, abandon, task);
  try {
    task->thread = std::thread([task] {
      task->work();
      task->completion.BlockingCall(task);
    });
  } catch (const std::system_error&) {
    // The process may have no more threads; better late on this one than never.
    task->work();
    finish(env, {}, nullptr, task);
  }
}

}  // namespace trt_asr::node
