;; Philox 4x64-10, as in `philox.ts`, with the 64-bit numbers that WebAssembly has: more than twice as fast.
;; `node scripts/philox-module.mjs` makes philox-module.ts of it.
(module
  ;; Counters, which blocks replace; 32 bytes each.
  (memory (export "memory") 1)
  (func (export "philox") (param $count i32) (param $low i32) (param $high i32)
    (local $at i32) (local $end i32) (local $round i32) (local $k i64) (local $q i64)
    (local $a i64) (local $b i64) (local $c i64) (local $d i64)
    (local $low32 i64) (local $high32 i64) (local $middle i64) (local $next i64)
    (local.set $end (i32.mul (local.get $count) (i32.const 32)))
    (loop $blocks
      (if (i32.ge_u (local.get $at) (local.get $end)) (then (return)))
      (local.set $a (i64.load (local.get $at)))
      (local.set $b (i64.load offset=8 (local.get $at)))
      (local.set $c (i64.load offset=16 (local.get $at)))
      (local.set $d (i64.load offset=24 (local.get $at)))
      (local.set $k (i64.or
        (i64.extend_i32_u (local.get $low))
        (i64.shl (i64.extend_i32_u (local.get $high)) (i64.const 32))))
      (local.set $q (i64.const 0))
      (local.set $round (i32.const 10))
      (loop $rounds
        ;; next = high half of 0xD2E7470EE14C6C93 * a, ^ d ^ q
        (local.set $low32 (i64.and (local.get $a) (i64.const 0xffffffff)))
        (local.set $high32 (i64.shr_u (local.get $a) (i64.const 32)))
        (local.set $middle (i64.add
          (i64.mul (local.get $high32) (i64.const 0xe14c6c93))
          (i64.shr_u (i64.mul (local.get $low32) (i64.const 0xe14c6c93)) (i64.const 32))))
        (local.set $next (i64.xor (i64.xor (local.get $d) (local.get $q)) (i64.add
          (i64.add
            (i64.mul (local.get $high32) (i64.const 0xd2e7470e))
            (i64.shr_u (local.get $middle) (i64.const 32)))
          (i64.shr_u
            (i64.add
              (i64.mul (local.get $low32) (i64.const 0xd2e7470e))
              (i64.and (local.get $middle) (i64.const 0xffffffff)))
            (i64.const 32)))))
        (local.set $d (i64.mul (local.get $a) (i64.const 0xd2e7470ee14c6c93)))
        ;; a = high half of 0xCA5A826395121157 * c, ^ b ^ k
        (local.set $low32 (i64.and (local.get $c) (i64.const 0xffffffff)))
        (local.set $high32 (i64.shr_u (local.get $c) (i64.const 32)))
        (local.set $middle (i64.add
          (i64.mul (local.get $high32) (i64.const 0x95121157))
          (i64.shr_u (i64.mul (local.get $low32) (i64.const 0x95121157)) (i64.const 32))))
        (local.set $a (i64.xor (i64.xor (local.get $b) (local.get $k)) (i64.add
          (i64.add
            (i64.mul (local.get $high32) (i64.const 0xca5a8263))
            (i64.shr_u (local.get $middle) (i64.const 32)))
          (i64.shr_u
            (i64.add
              (i64.mul (local.get $low32) (i64.const 0xca5a8263))
              (i64.and (local.get $middle) (i64.const 0xffffffff)))
            (i64.const 32)))))
        (local.set $b (i64.mul (local.get $c) (i64.const 0xca5a826395121157)))
        (local.set $c (local.get $next))
        (local.set $k (i64.add (local.get $k) (i64.const 0x9e3779b97f4a7c15)))
        (local.set $q (i64.add (local.get $q) (i64.const 0xbb67ae8584caa73b)))
        (local.set $round (i32.sub (local.get $round) (i32.const 1)))
        (br_if $rounds (local.get $round)))
      (i64.store (local.get $at) (local.get $a))
      (i64.store offset=8 (local.get $at) (local.get $b))
      (i64.store offset=16 (local.get $at) (local.get $c))
      (i64.store offset=24 (local.get $at) (local.get $d))
      (local.set $at (i32.add (local.get $at) (i32.const 32)))
      (br $blocks))))
