import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import './drawer.css';

interface Props {
  onClose: () => void;
  /** Given what closes the drawer. */
  children: (dismiss: () => void) => ComponentChildren;
}

/** A menu from the side, where there is no room for one beside the page. Modal, as a panel is. */
export function Drawer({ onClose, children }: Props): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: with a keyboard, Escape and the button close it
    <dialog
      ref={dialog}
      class="drawer"
      aria-label="Menu"
      onClose={onClose}
      onClick={(event) => event.target === event.currentTarget && event.currentTarget.close()}
    >
      {children(() => dialog.current?.close())}
    </dialog>
  );
}
