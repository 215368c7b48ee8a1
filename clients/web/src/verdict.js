import { MIN_SIDE } from './picture.js'

const MAX_MEASURED = 2_000_000 // pixels; of larger photos no false-alarm rate was measured

/** `band` (pass, review, flag) and why it was held back at review: `held` is '', small or large. */
export function verdict({ score, heatmap: { width, height } }, card) {
  const rank = (score >= card.review_threshold) + (score >= card.threshold)
  const small = Math.min(width, height) < MIN_SIDE && 'small'
  const held = width * height > MAX_MEASURED ? 'large' : small || ''
  return { band: ['pass', 'review', 'flag'][held ? Math.min(rank, 1) : rank], held }
}
