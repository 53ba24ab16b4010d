/**
 * Colours for numbers in 0 … 1, as short tables with straight lines between. 'inferno' and 'viridis' (matplotlib, CC0) grow steadily brighter, also in
 * grey and for the colour-blind; 'coolwarm' is for signed numbers, white where nothing is; 'gray' for feature maps.
 */

export type ColorMap = 'inferno' | 'viridis' | 'coolwarm' | 'gray';

const tables: Record<ColorMap, readonly string[]> = {
  inferno: [
    '000004',
    '140b34',
    '390962',
    '5f136e',
    '85216b',
    'a92e5e',
    'cb4149',
    'e65d2f',
    'f78311',
    'fcad12',
    'f5db4c',
    'fcffa4',
  ],
  viridis: [
    '440154',
    '482173',
    '433e85',
    '38588c',
    '2d708e',
    '25858e',
    '1e9b8a',
    '2ab07f',
    '52c569',
    '86d549',
    'c2df23',
    'fde725',
  ],
  coolwarm: ['2a4fb8', '5f86e0', '9db8f0', 'd3def6', 'f7f7f7', 'f8d5c8', 'f0a58c', 'd96a58', 'b2182b'],
  gray: ['000000', 'ffffff'],
};

export const colorMaps = Object.keys(tables) as ColorMap[];

/** 256 colours, three bytes each. */
export function colorTable(name: ColorMap): Uint8Array {
  const stops = tables[name].map((hex) => [0, 2, 4].map((i) => Number.parseInt(hex.slice(i, i + 2), 16)));
  const out = new Uint8Array(256 * 3);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(at));
    for (let c = 0; c < 3; c++)
      out[i * 3 + c] = Math.round(stops[low][c] + (at - low) * (stops[low + 1][c] - stops[low][c]));
  }
  return out;
}
