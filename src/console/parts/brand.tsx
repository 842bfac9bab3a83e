import type { JSX } from 'preact';
import { CloseIcon, Logo } from './icons.tsx';

/** The top of a menu. @param onClose where the menu can be closed */
export function Brand({ onClose }: { onClose: (() => void) | undefined }): JSX.Element {
  return (
    <div class="brand">
      <Logo />
      <span>llamatab</span>
      {onClose && (
        <button type="button" class="icon-button" aria-label="Close the menu" onClick={onClose}>
          <CloseIcon />
        </button>
      )}
    </div>
  );
}
