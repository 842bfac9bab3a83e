import { expect, it } from 'vitest';
import { createFrozenPages } from './frozen-pages.ts';

const isSettled = (promise: Promise<void>) =>
  Promise.race([promise.then(() => true), new Promise((resolve) => setTimeout(resolve, 0, false))]);

it('what a page was being given while it was frozen does not end before it runs again, and breaks off then', async () => {
  const pages = createFrozenPages();
  const [begun, waiting, other] = [pages.answer('a'), pages.answer('a'), pages.answer('b')];
  begun.onBegun();
  other.onBegun();
  expect(await isSettled(begun.untilThawed())).toBe(true);
  pages.onFrozen('a');
  pages.onFrozen('a');
  expect([await isSettled(begun.untilThawed()), await isSettled(other.untilThawed())]).toEqual([false, true]);
  expect(begun.signal.aborted).toBe(false);
  const thawed = begun.untilThawed();
  pages.onThawed('a');
  await thawed;
  expect([begun, waiting, other].map(({ signal }) => signal.aborted)).toEqual([true, false, false]);
  expect(begun.signal.reason).toBeInstanceOf(TypeError);

  // Frozen again, with an answer that has begun since.
  waiting.onBegun();
  pages.onThawed('a');
  expect(waiting.signal.aborted).toBe(false);
  pages.onFrozen('a');
  pages.onThawed('a');
  expect(waiting.signal.aborted).toBe(true);
});

it('an answer that has ended knows nothing of it', async () => {
  const pages = createFrozenPages();
  const answer = pages.answer('a');
  answer.onBegun();
  answer.onEnd();
  pages.onFrozen('a');
  const next = pages.answer('a');
  pages.onThawed('a');
  expect([answer.signal.aborted, next.signal.aborted, await isSettled(next.untilThawed())]).toEqual([
    false,
    false,
    true,
  ]);
});
