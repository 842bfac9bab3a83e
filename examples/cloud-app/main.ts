/** What makes it local: from here on, what the page sends to that address is answered on the device, and the key stays here. */
import { serve } from 'llamatab';

await serve({ intercept: ['https://api.openai.com/v1'], aliases: { 'gpt-4o-mini': 'local' } });
await import('./app.ts');
