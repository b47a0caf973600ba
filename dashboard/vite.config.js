// Builds the page into dist/, whose files are part of the program `consilium` and are committed: the same from the same lock file.
import { defineConfig } from 'vite';

export default defineConfig({
  // it lies below a token that changes with every start
  base: './',
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: false,
    rollupOptions: {
      output: { entryFileNames: 'app.js', assetFileNames: 'app[extname]', codeSplitting: false },
    },
  },
});
