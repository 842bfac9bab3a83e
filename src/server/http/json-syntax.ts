/**
 * Describes a JSON syntax error in the words of nlohmann::json, which llama-server answers with: its tokens, its
 * position (characters read so far, the end of input counting as one), and what it expected. Runs only after
 * `JSON.parse` has failed.
 */

type Token = keyof typeof TOKEN_NAMES;

const TOKEN_NAMES = {
  literal: 'literal',
  string: 'string literal',
  number: 'number literal',
  '[': "'['",
  '{': "'{'",
  ']': "']'",
  '}': "'}'",
  ':': "':'",
  ',': "','",
  end: 'end of input',
} as const;

const ANY_VALUE = "'[', '{', or a literal";

class SyntaxFault {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

/** `parse error at line 1, column 5: syntax error while parsing array - unexpected end of input; expected ']'` */
export function describeSyntaxError(text: string): string {
  const lexer = new Lexer(text);
  const reason = findFault(lexer);
  const read = text.slice(0, lexer.read);
  const line = read.split('\n').length;
  const column = lexer.read - (read.lastIndexOf('\n') + 1);
  return `parse error at line ${line}, column ${column}: ${reason}`;
}

function findFault(lexer: Lexer): string {
  if (lexer.text.trim() === '') {
    lexer.read = lexer.text.length + 1;
    return 'attempting to parse an empty input; check that your input string or stream contains the expected JSON';
  }
  try {
    new Parser(lexer).document();
    return 'syntax error';
  } catch (fault) {
    if (fault instanceof SyntaxFault) return fault.reason;
    throw fault;
  }
}

/** Keeps its own stack of open brackets: the text may be nested deeper than the engine's stack. */
class Parser {
  readonly lexer: Lexer;
  readonly open: ('[' | '{')[] = [];

  constructor(lexer: Lexer) {
    this.lexer = lexer;
  }

  document(): void {
    let token = this.lexer.next('value');
    for (;;) {
      const opened = this.value(token);
      if (opened) {
        token = this.lexer.next(opened === '[' ? 'value' : 'object key', opened === '[' ? undefined : 'string literal');
        if (token === (opened === '[' ? ']' : '}')) this.open.pop();
        else {
          if (opened === '{') token = this.key(token);
          continue;
        }
      }
      const separator = this.closeBrackets();
      if (separator === undefined) return;
      token =
        this.open.at(-1) === '{' ? this.key(this.lexer.next('object key', 'string literal')) : this.lexer.next('value');
    }
  }

  /** Takes one scalar, or opens a bracket. */
  value(token: Token): '[' | '{' | undefined {
    if (token === '[' || token === '{') {
      this.open.push(token);
      return token;
    }
    if (token !== 'literal' && token !== 'string' && token !== 'number') this.unexpected(token, 'value', ANY_VALUE);
    return undefined;
  }

  /** Takes a key and its colon; returns the token after them. */
  key(token: Token): Token {
    if (token !== 'string') this.unexpected(token, 'object key', 'string literal');
    const colon = this.lexer.next('object separator', "':'");
    if (colon !== ':') this.unexpected(colon, 'object separator', "':'");
    return this.lexer.next('value');
  }

  /** Takes closing brackets up to a comma; undefined at the end of the document. */
  closeBrackets(): ',' | undefined {
    for (;;) {
      const bracket = this.open.at(-1);
      const [context, closing] = bracket === undefined ? (['value', 'end'] as const) : closingOf(bracket);
      const token = this.lexer.next(context, TOKEN_NAMES[closing]);
      if (token === closing) {
        if (bracket === undefined) return undefined;
        this.open.pop();
      } else if (token === ',' && bracket !== undefined) return ',';
      else this.unexpected(token, context, TOKEN_NAMES[closing]);
    }
  }

  unexpected(token: Token, context: string, expected: string): never {
    throw new SyntaxFault(
      `syntax error while parsing ${context} - unexpected ${TOKEN_NAMES[token]}; expected ${expected}`,
    );
  }
}

function closingOf(bracket: '[' | '{') {
  return bracket === '[' ? (['array', ']'] as const) : (['object', '}'] as const);
}

const STRING = /"(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/uy;
const NUMBER = /-?(?:0|[1-9]\d*)?(?:(?<=\d)\.\d*)?(?:(?<=\d)[eE][+-]?\d*)?/y;
const LITERAL = /true|false|null/y;
const SPACE = /[ \t\r\n]*/y;

class Lexer {
  readonly text: string;
  /** Characters read so far; one more than the text has, once its end was met. */
  read = 0;
  /** Where nlohmann::json's "last read" begins: at the last string or number. */
  #kept = 0;

  constructor(text: string) {
    // JSON.parse refuses a byte order mark, nlohmann::json skips it; TextDecoder has removed it before.
    this.text = text;
  }

  /** The next token; a lexical fault is reported as found while parsing `context`. */
  next(context: string, expected?: string): Token {
    this.#take(SPACE);
    const start = this.read;
    const char = this.text[start];
    if (char === undefined) {
      this.read = start + 1;
      return 'end';
    }
    if ('[]{}:,'.includes(char)) {
      this.read++;
      return char as Token;
    }
    const fault = char === '"' ? this.#string() : /[-\d]/.test(char) ? this.#number() : this.#literal();
    if (fault !== undefined) {
      const lastRead = this.text.slice(this.#kept, this.read);
      const wanted = expected === undefined ? '' : `; expected ${expected}`;
      throw new SyntaxFault(`syntax error while parsing ${context} - ${fault}; last read: '${lastRead}'${wanted}`);
    }
    return char === '"' ? 'string' : /[-\d]/.test(char) ? 'number' : 'literal';
  }

  #take(pattern: RegExp): string {
    pattern.lastIndex = this.read;
    const taken = pattern.exec(this.text)?.[0] ?? '';
    this.read += taken.length;
    return taken;
  }

  #string(): string | undefined {
    this.#kept = this.read;
    this.#take(STRING);
    const stop = this.text[this.read++];
    if (stop === '"') return undefined;
    if (stop === undefined) return 'invalid string: missing closing quote';
    if (stop !== '\\') {
      const code = `U+${stop.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`;
      return `invalid string: control character ${code} must be escaped`;
    }
    return this.text[this.read++] === 'u'
      ? "invalid string: '\\u' must be followed by 4 hex digits"
      : 'invalid string: forbidden character after backslash';
  }

  #number(): string | undefined {
    this.#kept = this.read;
    const taken = this.#take(NUMBER);
    const last = taken.at(-1) ?? '';
    if (/\d/.test(last)) return undefined;
    this.read++;
    if (last === '-' && taken.length === 1) return "invalid number; expected digit after '-'";
    if (last === '.') return "invalid number; expected digit after '.'";
    if (/[eE]/.test(last)) return "invalid number; expected '+', '-', or digit after exponent";
    return 'invalid number; expected digit after exponent sign';
  }

  /** Reads the characters that match a literal, and the first that does not. */
  #literal(): string | undefined {
    if (this.#take(LITERAL) !== '') return undefined;
    const wanted = ['true', 'false', 'null'].find((literal) => literal[0] === this.text[this.read]) ?? '';
    let agreed = 0;
    while (agreed < wanted.length && this.text[this.read + agreed] === wanted[agreed]) agreed++;
    this.read += agreed + 1;
    return 'invalid literal';
  }
}
