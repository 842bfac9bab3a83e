/** Icons on a grid of 24 units, in the colour of the text. The control around an icon has the accessible name. */
import type { ComponentChildren, JSX } from 'preact';
import './icons.css';

function Icon({ children }: { children: ComponentChildren }): JSX.Element {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export const SendIcon = () => (
  <Icon>
    <path d="M12 19V5m-6.5 6.5L12 5l6.5 6.5" />
  </Icon>
);

export const StopIcon = () => (
  <Icon>
    <rect x="7" y="7" width="10" height="10" rx="1.5" fill="currentColor" />
  </Icon>
);

export const NewChatIcon = () => (
  <Icon>
    <path d="M19 13v5a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2h5m1.5 6.5 8-8m-8 8v-3l6-6 3 3-6 6z" />
  </Icon>
);

export const CodeIcon = () => (
  <Icon>
    <path d="m8.5 7-5 5 5 5m7-10 5 5-5 5" />
  </Icon>
);

export const ModelsIcon = () => (
  <Icon>
    <path d="m12 3.5 8 4.25v8.5l-8 4.25-8-4.25v-8.5zm0 8.5 8-4.25M12 12v8.5M12 12 4 7.75" />
  </Icon>
);

export const SettingsIcon = () => (
  <Icon>
    <path d="M4 8h8m6 0h2M4 16h2m6 0h8" />
    <circle cx="15" cy="8" r="2.5" />
    <circle cx="9" cy="16" r="2.5" />
  </Icon>
);

export const RetryIcon = () => (
  <Icon>
    <path d="M19.5 12a7.5 7.5 0 1 1-2.2-5.3L20 9m0-5v5h-5" />
  </Icon>
);

export const CopyIcon = () => (
  <Icon>
    <rect x="9" y="9" width="11" height="11" rx="2" />
    <path d="M5.5 15H5a1 1 0 0 1-1-1V5a1 1 0 0 1 1-1h9a1 1 0 0 1 1 1v.5" />
  </Icon>
);

export const CheckIcon = () => (
  <Icon>
    <path d="m5 12.5 4.5 4.5L19 7.5" />
  </Icon>
);

export const CloseIcon = () => (
  <Icon>
    <path d="m6 6 12 12M18 6 6 18" />
  </Icon>
);

export const DownIcon = () => (
  <Icon>
    <path d="M12 5v14m-6.5-6.5L12 19l6.5-6.5" />
  </Icon>
);

/** The mark, as in icon.svg, in the theme's colours. */
export const Logo = () => (
  <svg class="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <rect width="32" height="32" rx="8" />
    <path d="M10 32V14c0-2 .6-3.4 1.6-4.5L12 5.6c.1-.8 1-1 1.5-.4l2.4 3c1.7.2 3.2 1 4.3 2.3l3.4.9c1.3.3 2.1 1.3 2.1 2.6 0 1.4-1.2 2.5-2.6 2.5H19.5V32z" />
    <circle cx="17" cy="12.6" r="1.3" />
  </svg>
);
