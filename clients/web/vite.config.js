import { resolve } from 'node:path'
import { defaultClientConditions, defineConfig } from 'vite'

const packaged = '../../src/damagenet/claims/weights/damagenet-s.onnx'
const model = resolve(process.env.DAMAGENET_MODEL || resolve(import.meta.dirname, packaged))

export default defineConfig({
  base: './', // works from any folder of any site
  resolve: {
    // The runtime's glue code comes apart from its bundle, so that its threads can be started from it.
    conditions: ['onnxruntime-web-use-extern-wasm', ...defaultClientConditions],
    alias: [
      { find: /^detector\.onnx/, replacement: model },
      { find: /^detector\.json/, replacement: model.replace(/\.onnx$/, '.json') },
    ],
  },
  assetsInclude: ['**/*.onnx'],
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: false },
  worker: { format: 'es' },
})
