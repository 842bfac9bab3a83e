/** What an embedding or a score can't be computed of in one step. */
import { invalid, LlamatabError } from '../../errors.ts';

/** llama.cpp's words for an input that does not fit into one batch, which an encoder must see at once; or into the context. */
const TOO_LONG = /is too large to process|exceeds the available context size/;

/**
 * `work`, with llama.cpp's 500 for an input that is too long as the 400 that it is: who sent a hundred has to know which.
 * @param field Of the request, as in `input`.
 */
export async function nameTooLong<T>(work: Promise<T>, field: string, index: number, count: number): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof LlamatabError) || !TOO_LONG.test(error.message)) throw error;
    const which = count === 1 ? `'${field}'` : `${field}[${index}], one of ${count}`;
    throw invalid(field, `${error.message}. That is ${which}: send it in shorter parts.`);
  }
}
