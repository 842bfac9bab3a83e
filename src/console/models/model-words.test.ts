import { describe, expect, test } from 'vitest';
import type { ModelStatus } from '../../index.ts';
import { actionsOf, describeKind, describeReport, describeRow, describeSpace, sortModels } from './model-words.ts';

const model: ModelStatus = {
  id: 'm',
  name: 'M',
  default: false,
  aliases: [],
  capabilities: ['chat', 'completion'],
  size: 98_400_000,
  contextLength: 4096,
  authors: 'A',
  license: 'MIT',
  source: 'site',
  files: {
    state: 'absent',
    loaded: 0,
    total: 98_400_000,
    names: ['m.gguf'],
    pinned: false,
    lastUsed: null,
    kept: 'disk',
  },
  state: 'available',
};
const withFiles = (files: Partial<ModelStatus['files']>, more: Partial<ModelStatus> = {}): ModelStatus => ({
  ...model,
  ...more,
  files: { ...model.files, ...files },
});
const work = { loaded: 49_200_000, total: 98_400_000, speed: 0 };
const plain = (text: string | undefined) => text?.replaceAll('\u00a0', ' ');

describe('describeRow', () => {
  test.each([
    [model, 'absent', 'Not downloaded', undefined],
    [withFiles({ state: 'partial', loaded: 49_200_000 }), 'paused', 'Incomplete', '49.2 of 98.4 MB'],
    [withFiles({ state: 'complete' }), 'here', 'On this device', undefined],
    [withFiles({ state: 'complete', kept: 'memory' }), 'here', 'In this tab', /stores nothing/],
    [withFiles({}, { state: 'loading' }), 'busy', 'Loading into memory', undefined],
    [withFiles({}, { state: 'failed', error: 'part 3: 404' }), 'failed', 'Failed', 'part 3: 404'],
    [
      withFiles({ work: { ...work, speed: 10e6, state: 'downloading' } }),
      'busy',
      'Downloading',
      /50 % · 10 MB\/s · 5 s left/,
    ],
    [withFiles({ work: { ...work, speed: 10e6 } }, { source: 'file' }), 'busy', 'Copying', /50 %/],
    [withFiles({ work: { ...work, state: 'paused' } }), 'paused', 'Paused', '49.2 of 98.4 MB'],
    [
      withFiles({ work: { ...work, state: 'offline', reason: 'no network' } }),
      'busy',
      'Waiting for the network',
      'no network',
    ],
    [
      withFiles({ work: { ...work, state: 'retrying', retryIn: 4, reason: 'HTTP 503' } }),
      'busy',
      'Trying again in 4 s',
      'HTTP 503',
    ],
    [withFiles({ work: { ...work, state: 'verifying' } }), 'busy', 'Verifying', '49.2 of 98.4 MB'],
    [withFiles({}, { state: 'downloading', progress: { ...work, speed: 1e6 } }), 'busy', 'Downloading', /50 s left/],
  ] as const)('%#', (status, kind, label, detail) => {
    const row = describeRow(status);
    expect([row.kind, plain(row.label)]).toEqual([kind, label]);
    if (detail instanceof RegExp) expect(plain(row.detail)).toMatch(detail);
    else expect(plain(row.detail)).toBe(detail);
  });
});

describe('actionsOf', () => {
  const here = withFiles({ state: 'complete' });
  test.each([
    [model, ['download', 'space']],
    [{ ...model, source: 'url' as const }, ['download', 'space', 'remove']],
    [withFiles({ state: 'partial' }), ['resume', 'remove']],
    [withFiles({ work: { ...work, state: 'downloading' } }), ['pause', 'cancel']],
    [withFiles({ work: { ...work, state: 'paused' } }), ['resume', 'cancel']],
    [withFiles({ work: { ...work, state: 'verifying' } }), []],
    [here, ['chat', 'pin', 'verify', 'save', 'remove']],
    [{ ...here, id: 'chat' }, ['load', 'pin', 'verify', 'save', 'remove']],
    [{ ...here, capabilities: ['embedding'] }, ['load', 'pin', 'verify', 'save', 'remove']],
    [{ ...here, id: 'chat', state: 'loaded' as const }, ['unload', 'pin', 'verify', 'save', 'remove']],
    [withFiles({ state: 'complete', pinned: true }), ['chat', 'unpin', 'verify', 'save', 'remove']],
    [withFiles({}, { state: 'loading' }), ['unload']],
  ])('%#', (status, actions) => {
    expect(actionsOf(status, 'chat')).toEqual(actions);
  });
});

test('describeKind', () => {
  expect(plain(describeKind(model))).toBe('98.4 MB · chat, text · from this site · by A');
  expect(plain(describeKind({ ...model, authors: 'unknown', source: 'hub' }))).toBe(
    '98.4 MB · chat, text · from a hub',
  );
});

describe('describeSpace', () => {
  const disk = {
    needed: 1e8,
    missing: 1e8,
    usage: 0,
    quota: 1e10,
    free: 1e10,
    evictable: 0,
    persisted: true,
    enough: true,
  };
  const memory = { weights: 1e8, kvCache: 2e7, total: 1.2e8, contextLength: 4096, available: 4e9, enough: true };

  test('says whether it fits', () => {
    expect({ ...describeSpace({ disk, memory }), text: plain(describeSpace({ disk, memory }).text) }).toEqual({
      fits: true,
      text: 'Disk: 100 MB to download, 10.0 GB free. Memory: 120 MB with 4096 tokens of context; 4.00 GB can be used on this device.',
    });
    expect(describeSpace({ disk: { ...disk, enough: false }, memory }).text).toContain('There is not enough space');
    expect(describeSpace({ disk, memory: { ...memory, enough: false, available: null } })).toMatchObject({
      fits: false,
      text: expect.stringContaining('choose a smaller model'),
    });
  });
});

test('describeReport', () => {
  const bad = [{ file: 'm.gguf', part: 2, of: 3, reason: 'its SHA-256 is another' }];
  expect(plain(describeReport({ ok: true, checked: 98_400_000, bad: [] }, false))).toBe('All 98.4 MB are intact.');
  expect(describeReport({ ok: false, checked: 1, bad }, false)).toBe(
    'One part was damaged or missing: m.gguf, part 2 of 3: its SHA-256 is another',
  );
  expect(describeReport({ ok: true, checked: 1, bad: [...bad, ...bad] }, true)).toBe(
    '2 parts were damaged or missing, and downloaded again. The model is complete.',
  );
});

test('sortModels: the default, those that are stored, the rest', () => {
  const ids = sortModels([
    { ...model, id: 'absent' },
    { ...withFiles({ state: 'complete' }), id: 'here' },
    { ...model, id: 'own', source: 'url' },
    { ...model, id: 'default', default: true },
  ]).map(({ id }) => id);
  expect(ids).toEqual(['default', 'here', 'own', 'absent']);
});
