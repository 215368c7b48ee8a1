// Pixels of a side, and of a picture: beyond them no false-alarm rate was measured.
const SMALLEST = 64
const LARGEST = 2_000_000

/** `band` (pass, review, flag) and why it was held back at review: `held` is '', small or large. */
export function verdict({ score, heatmap: { width, height } }, card) {
  const rank = (score >= card.review_threshold) + (score >= card.threshold)
  const small = Math.min(width, height) < SMALLEST && 'small'
  const held = width * height > LARGEST ? 'large' : small || ''
  return { band: ['pass', 'review', 'flag'][held ? Math.min(rank, 1) : rank], held }
}
