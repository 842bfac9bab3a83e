/** Tokens for private files, by the origin that they were given for. They are kept in memory only, never in the database. */
export class AccessTokens {
  readonly #byOrigin = new Map<string, string>();

  /** @param url Absolute. @param token If it is undefined, an earlier one stays. */
  keep(url: string, token: string | undefined): void {
    if (token !== undefined) this.#byOrigin.set(new URL(url).origin, token);
  }

  /** The headers that a request to this URL needs. */
  readonly headersFor = (url: string): Record<string, string> => {
    const token = URL.canParse(url) ? this.#byOrigin.get(new URL(url).origin) : undefined;
    return token === undefined ? {} : { Authorization: `Bearer ${token}` };
  };
}
