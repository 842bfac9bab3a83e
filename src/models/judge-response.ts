/** Judges whether an answer is what was asked for, by its status and headers, before a byte of its body is read. Pure. */
import { explainStatus, looksLikeHtml, retryAfter } from './http.ts';
import type { Part } from './parts-layout.ts';

/** What a server says of a file's version, where it lets other origins see it. */
export interface Validators {
  etag?: string;
  lastModified?: string;
}

/** What a request asked for. */
export interface Asked {
  part: Part;
  /** Bytes of the part that are here already: a range begins after them. */
  received: number;
  /** Whether it had a `Range`, from there to the part's end. */
  ranged: boolean;
  withToken: boolean;
  /** What was known of the file when its first part came; undefined before. */
  validators: Validators | undefined;
}

/** `lost`: worth another attempt; `damaged`: worth one more attempt from the part's beginning; `failed`: hopeless. */
export interface Refusal {
  result: 'lost' | 'damaged' | 'failed';
  /** For people: what is wrong, and what to do. */
  what: string;
  /** Seconds after which the server wants to be asked again; null where it does not say. */
  after?: number | null;
  /** The server asks for fewer requests. */
  busy?: boolean;
}

export interface Judgement {
  /** What the body is; null if it has nothing to do with the file. */
  sends: 'range' | 'file' | null;
  /** Why the answer is not taken; null if it is taken. */
  refusal: Refusal | null;
  /** To compare later answers with. Only in the first answer, and only if the part has no published hash. */
  validators?: Validators;
}

export const OUT_OF_STEP =
  'The file and the catalog are not of the same version, or the file is damaged: deploy both again.';

export const CHANGED =
  'It was changed on its server since the download began, and two versions are never mixed: delete the model and download it again.';

export function judgeResponse(response: Response, asked: Asked): Judgement {
  const { status, headers } = response;
  const noFile = judgeStatus(response, asked);
  if (noFile !== null) return { sends: null, refusal: noFile };
  const sends = asked.ranged && status === 206 ? 'range' : 'file';
  return { sends, ...(judgeLength(response, asked, sends) ?? judgeVersion(headers, asked)) };
}

function judgeStatus(response: Response, { part, received, withToken }: Asked): Refusal | null {
  const { status, headers } = response;
  if (status === 416) {
    return { result: 'failed', what: `the file has no byte ${part.start + received}: it was longer. ${CHANGED}` };
  }
  if (status >= 500 || status === 429 || status === 408) {
    const after = retryAfter(headers);
    const when = after === null ? 'Try again later.' : `The server asks to come back in ${after} s.`;
    return { result: 'lost', what: `HTTP ${status}. ${when}`, after, busy: status === 429 || status === 503 };
  }
  if (!response.ok) return { result: 'failed', what: explainStatus(status, withToken) };
  if (!looksLikeHtml(response)) return null;
  return {
    result: 'failed',
    what:
      'the server answered with a web page instead of bytes. Sites with a fallback page or a login do that: ' +
      "check that the file is deployed at this address and that the catalog's url is right.",
  };
}

function judgeLength(
  { headers, type }: Response,
  { part, received }: Asked,
  sends: 'range' | 'file',
): { refusal: Refusal } | null {
  const damaged = (what: string) => ({ refusal: { result: 'damaged' as const, what } });
  const isRange = sends === 'range';
  const range = isRange ? /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get('content-range') ?? '') : null;
  if (range && Number(range[2]) !== part.piece.size) {
    return damaged(`the file has ${range[2]} bytes, the catalog says ${part.piece.size}. ${OUT_OF_STEP}`);
  }
  if (range && Number(range[1]) !== part.start + received) {
    return damaged(`the server sent another range than it was asked for (${range[0]}).`);
  }
  // With a content encoding the length is that of the compressed bytes. Other origins hide it; ranges come without one.
  const mayBePacked = headers.has('content-encoding') || (type === 'cors' && !isRange);
  const length = headers.get('content-length');
  const expected = isRange ? part.size - received : part.piece.size;
  if (length === null || mayBePacked || Number(length) === expected) return null;
  const what = isRange ? 'answer' : 'file';
  return damaged(`the ${what} has ${length} bytes, the catalog says ${expected}. ${OUT_OF_STEP}`);
}

/**
 * A file that is replaced during the download must not become a mixture of two versions. If a part has a published hash, that
 * decides, because the servers of one CDN do not always agree on dates and tags.
 */
function judgeVersion(headers: Headers, { part, validators: known }: Asked): Omit<Judgement, 'sends'> {
  if (part.sha256 !== undefined || part.piece.parts.length === 1) return { refusal: null };
  const etag = headers.get('etag');
  const lastModified = headers.get('last-modified');
  if (known === undefined) {
    const validators = {
      // A weak tag says only that two versions mean the same, not that their bytes are.
      ...(etag !== null && !etag.startsWith('W/') ? { etag } : {}),
      ...(lastModified === null ? {} : { lastModified }),
    };
    return { refusal: null, validators };
  }
  const byTag = known.etag !== undefined && etag !== null;
  const [was, is] = byTag ? [known.etag, etag] : [known.lastModified, lastModified];
  if (was === undefined || is === null || was === is) return { refusal: null };
  const what = `it is another file than the one that the download began with (${was}, now ${is}). ${CHANGED}`;
  return { refusal: { result: 'failed', what } };
}
