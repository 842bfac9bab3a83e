/**
 * `npm start`: installs what is missing, builds, and serves the console with its models on localhost.
 * @module
 */
import { installPackages, mustRun, root } from './prerequisites.mjs';

const port = Number(process.env.PORT || 8080);
if (!Number.isInteger(port) || port < 1 || port > 65_535) {
  console.error(`llamatab: PORT is "${process.env.PORT}", which is no port: use a number from 1 to 65535.`);
  process.exit(1);
}

installPackages();
mustRun('npm', ['run', '--silent', 'build']);

const { preview } = await import('vite');
try {
  const server = await preview({
    root: `${root}/src/console`,
    configFile: `${root}/vite.config.ts`,
    preview: { port },
  });
  console.log(`\n  llamatab is at ${server.resolvedUrls?.local[0]} (Ctrl+C ends it)\n`);
} catch (error) {
  const taken = error instanceof Error && /already in use/.test(error.message);
  console.error(
    taken
      ? `llamatab: port ${port} is taken by another program. End that, or choose another: PORT=8081 npm start`
      : error,
  );
  process.exit(1);
}
