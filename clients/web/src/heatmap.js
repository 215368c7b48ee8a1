const STOPS = [[0, 255, 236, 140], [0.45, 247, 148, 29], [1, 190, 16, 60]]

/** Warm colours for a heatmap, transparent where it is calm, at the size of the shown picture. */
export function paint({ data, width, height }, wide, high) {
  const rgba = new Uint8ClampedArray(wide * high * 4)
  for (let y = 0, to = 0; y < high; y++) {
    const row = Math.floor(((y + 0.5) * height) / high) * width
    for (let x = 0; x < wide; x++, to += 4) {
      const value = data[row + Math.floor(((x + 0.5) * width) / wide)]
      const at = Math.min(1, Math.max(0, (value - 0.2) / 0.8))
      const [low, up] = at < STOPS[1][0] ? [STOPS[0], STOPS[1]] : [STOPS[1], STOPS[2]]
      const part = (at - low[0]) / (up[0] - low[0])
      for (let c = 1; c < 4; c++) rgba[to + c - 1] = low[c] + part * (up[c] - low[c])
      rgba[to + 3] = 255 * Math.min(0.8, Math.max(0, (value - 0.15) * 2.2))
    }
  }
  return new ImageData(rgba, wide, high)
}

/**
 * Connected parts of a heatmap at or above `level`, without specks, as `damagenet predict` lists
 * them: largest score × area first.
 */
export function findRegions({ data, width, height }, level = 0.5, limit = 20) {
  const size = width * height
  const open = new Uint8Array(size)
  let inside = 0
  for (let i = 0; i < size; i++) if (data[i] >= level) inside += open[i] = 1
  const stack = new Int32Array(inside) // every pixel is pushed once
  const found = []
  for (let start = 0; start < size; start++) {
    if (!open[start]) continue
    let [left, right, top, bottom, count, sum, depth] = [width, 0, height, 0, 0, 0, 0]
    stack[depth++] = start
    open[start] = 0
    while (depth) {
      const at = stack[--depth]
      const x = at % width
      const y = (at - x) / width
      count++
      sum += data[at]
      left = Math.min(left, x)
      right = Math.max(right, x)
      top = Math.min(top, y)
      bottom = Math.max(bottom, y)
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++)
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++)
          if (open[v * width + u]) {
            open[v * width + u] = 0
            stack[depth++] = v * width + u
          }
    }
    if (count >= Math.max(9, 0.0002 * size))
      found.push({
        x: left, y: top, width: right - left + 1, height: bottom - top + 1,
        area: count / size, score: sum / count,
      })
  }
  return found.sort((a, b) => b.score * b.area - a.score * a.area).slice(0, limit)
}
