/** Whether pictures or clips are without colours, though they were decoded with three channels. */

/** Three equal planes, one after the other. Nothing at all is grey. */
export function isGrey(planes: ArrayLike<number>): boolean {
  const plane = planes.length / 3;
  for (let i = 0; i < plane; i++) {
    if (planes[i] !== planes[plane + i] || planes[i] !== planes[2 * plane + i]) return false;
  }
  return true;
}
