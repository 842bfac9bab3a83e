import { describe, expect, it } from 'vitest';
import { isFetch, serverUrl } from './address.ts';

const ALL = { nativeRoutes: true };
const V1_ONLY = { nativeRoutes: false };

describe('serverUrl', () => {
  it.each([
    ['https://a.example/v1/models', 'https://a.example/', 'https://a.example/v1/models'],
    ['https://a.example/v1/models?x=1', 'https://a.example/', 'https://a.example/v1/models?x=1'],
    ['https://a.example/repo/v1/models', 'https://a.example/repo/', 'https://a.example/v1/models'],
  ])('%s with base %s is ours', (url, base, expected) => {
    expect(serverUrl(url, base, ALL)).toBe(expected);
    expect(serverUrl(url, base, V1_ONLY)).toBe(expected);
  });

  it.each([
    ['https://a.example/completion', 'https://a.example/', 'https://a.example/completion'],
    ['https://a.example/repo/health', 'https://a.example/repo/', 'https://a.example/health'],
    ['https://a.example/repo/slots/0?action=save', 'https://a.example/repo/', 'https://a.example/slots/0?action=save'],
    ['https://a.example/models', 'https://a.example/', 'https://a.example/models'],
    ['https://a.example/models/load', 'https://a.example/', 'https://a.example/models/load'],
  ])('%s with base %s is ours, unless the site says no', (url, base, expected) => {
    expect(serverUrl(url, base, ALL)).toBe(expected);
    expect(serverUrl(url, base, V1_ONLY)).toBeNull();
  });

  it('deleting a model is for the server; reading the same path is for the site', () => {
    const url = 'https://a.example/models/owner/name';
    expect(serverUrl(url, 'https://a.example/', { ...ALL, method: 'DELETE' })).toBe(url);
    expect(serverUrl(url, 'https://a.example/', { ...V1_ONLY, method: 'DELETE' })).toBeNull();
    expect(serverUrl(url, 'https://a.example/', { ...ALL, method: 'GET' })).toBeNull();
  });

  it.each([
    ['https://b.example/v1/models', 'https://a.example/'],
    ['http://a.example/v1/models', 'https://a.example/'],
    ['https://a.example:444/v1/models', 'https://a.example/'],
    ['https://a.example/v1', 'https://a.example/'],
    ['https://a.example/v10/models', 'https://a.example/'],
    ['https://a.example/models/catalog.json', 'https://a.example/'],
    ['https://a.example/models/', 'https://a.example/'],
    ['https://a.example/models/load/model.gguf', 'https://a.example/'],
    ['https://a.example/health.html', 'https://a.example/'],
    ['https://a.example/slots/a', 'https://a.example/'],
    ['https://a.example/other/v1/models', 'https://a.example/repo/'],
    ['https://a.example/v1/models', 'https://a.example/repo/'],
    ['https://a.example/health', 'https://a.example/repo/'],
    ['https://a.example/repo', 'https://a.example/repo/'],
    ['https://a.example/other/props', 'https://a.example/repo/'],
  ])('%s with base %s is not', (url, base) => {
    expect(serverUrl(url, base, ALL)).toBeNull();
  });
});

it.each([
  ['cors', '', true],
  ['same-origin', '', true],
  ['navigate', 'document', false],
  ['navigate', 'iframe', false],
  ['no-cors', 'image', false],
  ['cors', 'script', false],
] as const)('a request of mode %s for %j is a fetch: %j', (mode, destination, expected) => {
  expect(isFetch({ mode, destination })).toBe(expected);
});
