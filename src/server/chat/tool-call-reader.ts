/** Reads tool calls from JSON while it is being written: a pure state machine. */

/**
 * OpenAI's `delta.tool_calls[]`: a call's first delta has its id, type and name; each has a part of the arguments'
 * text.
 */
export interface ToolCallDelta {
  index: number;
  id?: string;
  type?: 'function';
  function: { name?: string; arguments: string };
}

/**
 * From the end of a call, or the beginning, to the arguments of the next, of which at least one character must be
 * there.
 */
const HEAD = /[\s[\],}]*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\S)/y;

/**
 * Reads `{"name": …, "arguments": …}`, or an array of such, in pieces of any size. Trusts the text to have that form,
 * which a grammar enforces.
 */
export class ToolCallReader {
  readonly #newId: () => string;
  #text = '';
  /** Where to go on in the text. */
  #at = 0;
  #index = -1;
  #inArguments = false;
  /** In the arguments' JSON: the number of open brackets, and whether a string is open. */
  #depth = 0;
  #inString = false;

  /** @param newId Draws a call's id. */
  constructor(newId: () => string) {
    this.#newId = newId;
  }

  /** Whether there are calls, and the last is complete. */
  get complete(): boolean {
    return this.#index >= 0 && !this.#inArguments;
  }

  /** The deltas that `piece` adds. */
  read(piece: string): ToolCallDelta[] {
    this.#text += piece;
    const deltas: ToolCallDelta[] = [];
    for (;;) {
      if (!this.#inArguments) {
        const name = this.#readHead();
        if (name === undefined) return deltas;
        const id = this.#newId();
        deltas.push({ index: this.#index, id, type: 'function', function: { name, arguments: '' } });
      }
      const text = this.#readArguments();
      if (text !== '') deltas.push({ index: this.#index, function: { arguments: text } });
      if (this.#inArguments) return deltas;
    }
  }

  #readHead(): string | undefined {
    HEAD.lastIndex = this.#at;
    const [head, name] = HEAD.exec(this.#text) ?? [];
    if (head === undefined || name === undefined) return undefined;
    this.#at += head.length;
    this.#index++;
    this.#inArguments = true;
    return JSON.parse(name);
  }

  /** Up to the end of the arguments, or of the text so far. An escape that is cut off waits for its rest. */
  #readArguments(): string {
    const from = this.#at;
    while (this.#inArguments && this.#at < this.#text.length) {
      const character = this.#text[this.#at] as string;
      if (this.#inString) {
        if (character === '\\' && this.#at + 1 === this.#text.length) break;
        if (character === '\\') this.#at++;
        else if (character === '"') this.#inString = false;
      } else if (character === '"') {
        this.#inString = true;
      } else if (character === '{' || character === '[') {
        this.#depth++;
      } else if (character === '}' || character === ']') {
        this.#depth--;
        this.#inArguments = this.#depth > 0;
        // The bracket is the call's: its arguments were a bare value.
        if (this.#depth < 0) {
          this.#depth = 0;
          break;
        }
      }
      this.#at++;
    }
    return this.#text.slice(from, this.#at);
  }
}
