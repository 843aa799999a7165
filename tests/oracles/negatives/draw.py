"""Draws of evaluation negatives, written anew in Python; the unit tests of crates/genair-eval/src/negatives.rs have what it
prints.

    python tests/oracles/negatives/draw.py

xoshiro256++ 1.0 by Blackman and Vigna, seeded with a SHA-256; bounded integers by Canon's method, as the crate rand has
them; uniform subsets by Floyd's algorithm; draws by popularity one after another, refused where they hit what is taken.
"""

import bisect
import hashlib

MASK = (1 << 64) - 1


def rotated(x, k):
    return ((x << k) | (x >> (64 - k))) & MASK


class Stream:
    def __init__(self, label, seed, user, split):
        digest = hashlib.sha256(
            label.encode() + seed.to_bytes(8, "little") + user.to_bytes(4, "little") + split.encode()
        ).digest()
        self.s = [int.from_bytes(digest[8 * i : 8 * i + 8], "little") for i in range(4)]

    def next64(self):
        s = self.s
        result = (rotated((s[0] + s[3]) & MASK, 23) + s[0]) & MASK
        t = (s[1] << 17) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotated(s[3], 45)
        return result

    def below(self, bound, bits):
        """Uniform from 0 to bound - 1, with draws of 32 or 64 bits."""
        mask = (1 << bits) - 1
        draw = (lambda: self.next64() >> 32) if bits == 32 else self.next64
        product = draw() * bound
        result, low = product >> bits, product & mask
        if low > (-bound) & mask:
            high = (draw() * bound) >> bits
            result += low + high > mask
        return result


def uniform(n_items, known, count, seed, user, split):
    stream = Stream(f"genair sampled-{count}", seed, user, split)
    eligible = [item for item in range(1, n_items + 1) if item not in known]
    chosen = set()
    for newest in range(len(eligible) - count, len(eligible)):
        candidate = stream.below(newest + 1, 32)
        chosen.add(candidate if candidate not in chosen else newest)
    return sorted(eligible[place] for place in chosen)


def by_popularity(counts, known, count, seed, user, split):
    """counts[i] is that of item i + 1."""
    stream = Stream(f"genair sampled-{count}-popularity", seed, user, split)
    sums, total = [], 0
    for own in counts:
        total += own
        sums.append(total)
    chosen = set()
    while len(chosen) < count:
        item = 1 + bisect.bisect_right(sums, stream.below(total, 64))
        if item not in known:
            chosen.add(item)
    return sorted(chosen)


def main():
    for name, drawn in {
        "sampled-100 of 1,000,000": uniform(1_000_000, {3, 7}, 100, 44, 1, "test"),
        "sampled-100 of 130": uniform(130, {1, 64, 130}, 100, 44, 1, "valid"),
        "sampled-99 of 1,000,000": uniform(1_000_000, {3, 7}, 99, 44, 1, "test"),
        "popularity of 400": by_popularity([item * item % 97 for item in range(1, 401)], {5, 9}, 100, 44, 1, "test"),
    }.items():
        print(name, len(drawn), drawn[:6], drawn[-1], sum(drawn))


main()
