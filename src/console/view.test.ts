import { expect, it } from 'vitest';
import { readPlace } from './view.ts';

it('reads the view and its detail from the address', () => {
  expect(readPlace('')).toEqual({ view: 'chat', detail: null });
  expect(readPlace('#chat/1-2')).toEqual({ view: 'chat', detail: '1-2' });
  expect(readPlace('#api/chat/completions')).toEqual({ view: 'api', detail: 'chat/completions' });
  expect(readPlace('#live')).toEqual({ view: 'live', detail: null });
  expect(readPlace('#elsewhere')).toEqual({ view: 'chat', detail: null });
});
