/**
 * Which of ggml's waits for the queue are needed. The queue keeps its order, and what is read back is waited for by mapping it:
 * so a wait only keeps the program from running ahead of the GPU. One wait may be left out; the next one, if nothing was
 * mapped meanwhile, waits for both.
 */

/**
 * Bytes that may be written to buffers before a wait is a real one, since the browser holds them until the GPU has them:
 * weights while they are loaded, not the inputs of a token.
 */
export const MAX_UNWAITED_BYTES = 16 * 1024 * 1024;

export class QueueWaits {
  /** Submits so far. */
  #submitted = 0;
  /** Of these, those that are known to be done. */
  #done = 0;
  /** Submits at the last wait that was left out. */
  #leftOut = 0;
  /** Bytes so far, and those that are known to be on the GPU. */
  #written = 0;
  #writtenDone = 0;

  submit(): void {
    this.#submitted++;
  }

  write(bytes: number): void {
    this.#written += bytes;
  }

  /** Whether this wait can be left out. */
  leaveOut(): boolean {
    if (this.#written - this.#writtenDone > MAX_UNWAITED_BYTES) return false;
    if (this.#submitted === this.#done) return true;
    if (this.#leftOut > this.#done) return false;
    this.#leftOut = this.#submitted;
    return true;
  }

  /** How many waits' work the next real wait may have to wait for. */
  get depth(): number {
    return this.#leftOut > this.#done ? 2 : 1;
  }

  /** A real wait, or a mapping, begins: to be called with its end. */
  begin(): () => void {
    const submitted = this.#submitted;
    const written = this.#written;
    return () => {
      this.#done = Math.max(this.#done, submitted);
      this.#writtenDone = Math.max(this.#writtenDone, written);
    };
  }
}
