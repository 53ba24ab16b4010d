/** The page's way to a server of `fovea serve`. */

import type { Guess } from './fovea.js';

/** @throws {Error} with the server's own words */
export async function askServer(picture: Blob, token = ''): Promise<readonly Guess[]> {
  const response = await fetch('./predict', {
    method: 'POST',
    body: picture,
    headers: {
      'Content-Type': picture.type.startsWith('image/') ? picture.type : 'application/octet-stream',
      ...(token !== '' && { Authorization: `Bearer ${token}` }),
    },
  });
  const text = await response.text();
  let answer: { predictions?: Guess[]; error?: { message: string } };
  try {
    answer = JSON.parse(text);
  } catch {
    throw new Error(`the server answers with status ${response.status}`);
  }
  if (answer.predictions !== undefined) return answer.predictions;
  throw new Error(answer.error?.message ?? `the server answers with status ${response.status}`);
}
