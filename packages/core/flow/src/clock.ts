/** True when so much time has passed; also when the clock was put back, which says nothing about how much has. */
export const hasPassed = (since: number, now: number, ms: number): boolean => now < since || now - since >= ms
