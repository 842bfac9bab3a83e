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

export const ChatIcon = () => (
  <Icon>
    <path d="M5 5h14a1.5 1.5 0 0 1 1.5 1.5v9a1.5 1.5 0 0 1-1.5 1.5h-7l-4.5 3.5V17H5a1.5 1.5 0 0 1-1.5-1.5v-9A1.5 1.5 0 0 1 5 5z" />
  </Icon>
);

export const LiveIcon = () => (
  <Icon>
    <path d="M3.5 12h4l3-7.5 4 15 2.5-7.5h3.5" />
  </Icon>
);

export const PlugIcon = () => (
  <Icon>
    <path d="M9 4.5C6.5 4.5 7.5 9 7 10.5 6.7 11.5 5.5 12 4.5 12c1 0 2.2.5 2.5 1.5.5 1.5-.5 6 2 6m6-15c2.5 0 1.5 4.5 2 6 .3 1 1.5 1.5 2.5 1.5-1 0-2.2.5-2.5 1.5-.5 1.5.5 6-2 6" />
  </Icon>
);

export const DocsIcon = () => (
  <Icon>
    <path d="M12 6.5C10.5 5 8 4.5 4 4.5v13.5c4 0 6.5.5 8 2 1.5-1.5 4-2 8-2V4.5c-4 0-6.5.5-8 2zm0 0V20" />
  </Icon>
);

export const MenuIcon = () => (
  <Icon>
    <path d="M4 7h16M4 12h16M4 17h16" />
  </Icon>
);

export const SearchIcon = () => (
  <Icon>
    <circle cx="11" cy="11" r="6" />
    <path d="m15.5 15.5 4.5 4.5" />
  </Icon>
);

export const RenameIcon = () => (
  <Icon>
    <path d="m5 19 .8-3.7L16 5.1a1.5 1.5 0 0 1 2.1 0l.8.8a1.5 1.5 0 0 1 0 2.1L8.7 18.2z" />
  </Icon>
);

export const DeleteIcon = () => (
  <Icon>
    <path d="M5 7h14M10 7V4.5h4V7m-7 0 .8 12.5h8.400L17 7m-5 3.5v5.5" />
  </Icon>
);

export const ExportIcon = () => (
  <Icon>
    <path d="M12 4.5v10.5m-4.5-4.5L12 15l4.5-4.5M5 19.5h14" />
  </Icon>
);

export const PreviousIcon = () => (
  <Icon>
    <path d="m14.5 6-6 6 6 6" />
  </Icon>
);

export const NextIcon = () => (
  <Icon>
    <path d="m9.5 6 6 6-6 6" />
  </Icon>
);

export const PictureIcon = () => (
  <Icon>
    <rect x="3.5" y="5" width="17" height="14" rx="2" />
    <circle cx="9" cy="10" r="1.5" />
    <path d="m4 17 5-4.5 3.5 3 3-2.5 5 4" />
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
