/**
 * Runs in front of a worker's code in Firefox, which looks only every 100 ms whether the GPU is done: an empty submit makes it
 * look at once.
 */
let queue: GPUQueue | undefined;
let waiting = 0;
let timer: ReturnType<typeof setInterval> | undefined;

function poll<T>(done: Promise<T>): Promise<T> {
  waiting++;
  timer ??= setInterval(() => queue?.submit([]), 2);
  return done.finally(() => {
    if (--waiting > 0) return;
    clearInterval(timer);
    timer = undefined;
  });
}

const { submit, onSubmittedWorkDone } = GPUQueue.prototype;
GPUQueue.prototype.submit = function (commands) {
  queue = this;
  submit.call(this, commands);
};
GPUQueue.prototype.onSubmittedWorkDone = function () {
  return poll(onSubmittedWorkDone.call(this));
};
const { mapAsync } = GPUBuffer.prototype;
GPUBuffer.prototype.mapAsync = function (...range) {
  return poll(mapAsync.apply(this, range));
};
