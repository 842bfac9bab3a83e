/** Reads tool calls, written as JSON, while they are being written: a pure state machine. */

/** OpenAI's `delta.tool_calls[]`: the first of a call has its id, type and name; all have a part of the arguments' text. */
export interface ToolCallDelta {
  index: number;
  id?: string;
  type?: 'function';
  function: { name?: string; arguments: string };
}

/** From the end of a call, or the beginning, to the next one's arguments. Then something of these must be there. */
const HEAD = /[\s[\],}]*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\S)/y;

/**
 * Takes `{"name": …, "arguments": …}`, or an array of such, in pieces of any size. The text is trusted to be so: a grammar
 * has made it.
 */
export class ToolCallReader {
  readonly #newId: () => string;
  #text = '';
  /** Where in the text to go on. */
  #at = 0;
  #index = -1;
  #inArguments = false;
  /** Of the arguments' JSON: brackets that are open, and whether a string is. */
  #depth = 0;
  #inString = false;

  /** @param newId Draws a call's id. */
  constructor(newId: () => string) {
    this.#newId = newId;
  }

  /** Whether calls have come, and the last is whole. */
  get complete(): boolean {
    return this.#index >= 0 && !this.#inArguments;
  }

  /** What `piece` adds. */
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

  /** To the end of the arguments, or of what has come. An escape that is cut off waits for its rest. */
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
        // The call's own bracket: its arguments were a bare value.
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
