import { describe, expect, it } from 'vitest';
import { serverUrl } from './address.ts';

describe('serverUrl', () => {
  it.each([
    ['https://a.example/v1/models', 'https://a.example/', 'https://a.example/v1/models'],
    ['https://a.example/v1/models?x=1', 'https://a.example/', 'https://a.example/v1/models?x=1'],
    ['https://a.example/repo/v1/models', 'https://a.example/repo/', 'https://a.example/v1/models'],
    ['https://a.example/v1/models', 'https://a.example/repo/', 'https://a.example/v1/models'],
  ])('%s with base %s is ours', (url, base, expected) => {
    expect(serverUrl(url, base)).toBe(expected);
  });

  it.each([
    ['https://b.example/v1/models', 'https://a.example/'],
    ['http://a.example/v1/models', 'https://a.example/'],
    ['https://a.example:444/v1/models', 'https://a.example/'],
    ['https://a.example/v1', 'https://a.example/'],
    ['https://a.example/v10/models', 'https://a.example/'],
    ['https://a.example/models/catalog.json', 'https://a.example/'],
    ['https://a.example/other/v1/models', 'https://a.example/repo/'],
  ])('%s with base %s is not', (url, base) => {
    expect(serverUrl(url, base)).toBeNull();
  });
});
