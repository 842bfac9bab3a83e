import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import * as promises from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { createProfile, removeProfile } from './browser.mjs';

vi.mock('node:fs/promises', { spy: true });
afterEach(() => void vi.resetAllMocks());

const notEmpty = () => Promise.reject(Object.assign(new Error('directory not empty'), { code: 'ENOTEMPTY' }));

test('removes a profile, though it is still being written', async () => {
  const profile = createProfile();
  mkdirSync(join(profile, 'Default'));
  writeFileSync(join(profile, 'Default', 'Cookies'), 'x');
  vi.mocked(promises.rm).mockImplementationOnce(notEmpty).mockImplementationOnce(notEmpty);
  await removeProfile(profile, { retryDelay: 0 });
  expect(existsSync(profile)).toBe(false);
});

test('never fails: what can’t be removed is left, with a warning', async () => {
  const profile = createProfile();
  vi.mocked(promises.rm).mockImplementation(notEmpty);
  const warn = vi.spyOn(console, 'error').mockReturnValue();
  await removeProfile(profile, { maxRetries: 2, retryDelay: 0 });
  expect(promises.rm).toHaveBeenCalledTimes(3);
  expect(warn).toHaveBeenCalledWith(expect.stringContaining(profile));
  rmSync(profile, { recursive: true });
});
