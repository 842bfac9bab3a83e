/** Saves a text as a file of the person's. */
export function download(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = Object.assign(document.createElement('a'), { href: url, download: name });
  link.click();
  // Chromium reads it after the click.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
