/** Tokens for private files, by the origin that they were given for. In memory only: no disk and no database ever holds one. */
export class AccessTokens {
  readonly #byOrigin = new Map<string, string>();

  /** @param url Absolute. @param token undefined to keep the one that is known */
  keep(url: string, token: string | undefined): void {
    if (token !== undefined) this.#byOrigin.set(new URL(url).origin, token);
  }

  /** Headers for a request to this URL. */
  readonly headersFor = (url: string): Record<string, string> => {
    const token = URL.canParse(url) ? this.#byOrigin.get(new URL(url).origin) : undefined;
    return token === undefined ? {} : { Authorization: `Bearer ${token}` };
  };
}
