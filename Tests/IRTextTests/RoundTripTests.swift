import IR
import IRText
import Support
import Testing

/// Every operation in every form of its attributes and labels, in canonical text.
let canonicalText = #"""
    module "every operation" stage imported {
      symbol T <= 64
      symbol S <= 8
      symbol kept_2 <= 2147483647
      symbol O <= 4
      symbol P <= 16
      symbol K <= 64
      symbol K2 <= 64
      symbol K3 <= 64
      symbol K4 <= 64
      symbol K5 <= 64
      symbol X <= 64
      symbol W <= 64
      symbol K6 <= 64
      symbol V <= 16
      weight @decoder.embed : f32[9, 8] = source "model.embed_tokens.weight" bf16[9, 8]
      weight @w : f32[8, 8] = source "odd \"name\" \\ \u{7}\u{7f} é 漢 with // no comment" f16[2, 32]
      weight @"weight with spaces/and slashes" : f32[8] = source "" f32[8]
      weight @folded : f32[8, 8] = fold {
        %t = transpose @w {permutation = [1, 0]} : f32[8, 8]
        %p = matmul @w, %t {activation = gelu} : f32[8, 8]
        %s = scale %p {factor = 1e-45} : f32[8, 8]
        %r = power %s {exponent = -0.5} : f32[8, 8]
      }
      weight @larger : f32[16, 8] = fold {
        %q = slice @w {axis = 0, start = 0, count = 4} : f32[4, 8]
        %g = resize_grid %q {to = 4} : f32[16, 8]
      }
      weight @again : f32[64] = fold {
        %t = reshape @folded {shape = [64]} : f32[64]
      }
      weight @one : f32[] = source "scalar" f32[]
      weight @one16 : f32[16] = source "list" f32[16]
      weight @decoder.embed.q8 : q8p[9, 8] = fold {
        %packed = pack @decoder.embed {type = q8} : q8p[9, 8]
      }

      state &decoder.layer0.lengths : i32[2]
      state &decoder.layer0.key_cache : f32[2, 16, 4]
      state &"the other" : f32[2, 16, 4]

      func vision(%image: u8[8, 8, 3]) {
        %n = normalize %image {mean = [0.48145467, -0.0, 3.4028235e+38], std = [1.0, 1e-05, 1.1754944e-38]} : f32[3, 8, 8]
        %p = extract_patches %n {patch = 2} : f32[16, 12]
        %pw = extract_patches %n {patch = 2, window = 2} : f32[16, 12]
        %pb = extract_patches %image {patch = 2, center = [122.77094, 0.0, -0.5]} : f32[16, 12]
        %g = gather_windows %p {grid = [4, 4], kernel = 2} : f32[4, 48]
        %av = average_windows %p {grid = [4, 4], kernel = 2} : f32[4, 12]
        %ai = average_windows %p {grid = [4, 4], kernel = 4, margin = 1} : f32[1, 12]
        %wa = window_attention %av, %p, %pw {heads = 3, scale = 0.5, grid = [4, 4], kernel = 2} : f32[4, 12]
        %c = concatenate %p, %pw {axis = 1} : f32[16, 24]
        %one = concatenate %p {axis = 0} : f32[16, 12]
        %sl = slice %c {axis = 1, start = 8, count = 8} : f32[16, 8]
        %a = attention %sl, %sl, %sl {heads = 4, kv_heads = 4, scale = 0.70710677} : f32[16, 8]
        %ab = attention %a, %sl, %sl, bias @one16 {heads = 4, kv_heads = 4, scale = 0.70710677} : f32[16, 8]
        %m = multiply %ab, @one : f32[16, 8]
        %ln = layer_norm %m, @"weight with spaces/and slashes", @"weight with spaces/and slashes" {epsilon = 1e-05} : f32[16, 8]
        %ln1 = layer_norm %ln {epsilon = 1e-05} : f32[16, 8]
        %rms1 = rms_norm %ln1 {epsilon = 1e-05} : f32[16, 8]
        return %rms1, %g, @again
      }

      func step(%tokens: i32[T], %slots: i32[T], %positions: i32[T], %wanted: i32[S], %rows: f32[4, 8]) {
        %e = embed %tokens, @decoder.embed, vision %rows : f32[T, 8]
        %0 = rms_norm %e, @"weight with spaces/and slashes" {epsilon = 1e-06} : f32[T, 8]
        %1.5e-3 = matmul %0, @folded : f32[T, 8]
        %b = matmul %0, @w, bias @"weight with spaces/and slashes" : f32[T, 8]
        %ad = matmul %0, @w, addend %b {activation = silu} : f32[T, 8]
        %all = matmul %0, @w, bias @"weight with spaces/and slashes", addend %ad {activation = quick_gelu} : f32[T, 8]
        %act = activation %all {function = quick_gelu} : f32[T, 8]
        %gate = gate %act, %all {function = silu} : f32[T, 8]
        %sum = add %gate, @"weight with spaces/and slashes" : f32[T, 8]
        %rot = rotary %sum, %positions {head_size = 4, theta = 10000.0} : f32[T, 8]
        %rot3 = rotary %rot, %positions {head_size = 2, theta = 500000.0, factor = 8.0, low = 1.0, high = 4.0, original = 8192} : f32[T, 8]
        %k = slice %rot3 {axis = 1, start = 0, count = 4} : f32[T, 4]
        %places = reserve &decoder.layer0.lengths, %slots : i32[T]
        cache_store &decoder.layer0.key_cache, %k, %slots, %places as k.store
        cache_store &"the other", %k, %slots, %places as "v store"
        %return = attention %rot3, &decoder.layer0.key_cache, &"the other", slots %slots, places %places {heads = 4, kv_heads = 2, scale = 0.5} : f32[T, 8]
        %last = gather_rows %return, %wanted : f32[S, 8]
        return %last
      }

      func reduced(%q: f32[T, 8], %tokens: i32[T], %slots: i32[T], %wanted: i32[S]) {
        %scores = attention_scores %q, %q, tokens %tokens, slots %slots {heads = 2, kv_heads = 2, scale = 0.5, statistic = mean} : f32[T]
        %most = attention_scores %q, %q, tokens %tokens, slots %slots, raters %slots {heads = 2, kv_heads = 2, scale = 0.5, statistic = max} : f32[T]
        %rows = keep_rows %scores, tokens %tokens, slots %slots {top = 4, count = K} : i32[K]
        %found = find_rows %rows, %wanted : i32[S]
        %windows = stride_rows %tokens, slots %slots {stride = 4, image = 16, count = K2} : i32[K2]
        %means = stride_means %q, tokens %tokens, rows %windows {stride = 4} : f32[K2, 8]
        %shown = vision_indices %tokens, %rows {bound = 4} : i32[2, 4]
        %raters = rater_rows %q, tokens %tokens, slots %slots : i32[T]
        %turned = rotary_scores %q, %q, tokens %tokens, slots %slots, raters %raters, positions %tokens {heads = 2, kv_heads = 2, scale = 0.5, best = 1, theta = 10000.0} : f32[T]
        %paid = rater_attention %q, %q, tokens %tokens, slots %slots, raters %raters {heads = 2, kv_heads = 2, scale = 0.5, columns = 9} : f32[T, 9]
        %counts = rank_counts %paid, tokens %tokens, slots %slots, raters %raters {scale = 9.0, bias = 6.0} : i32[T]
        %dense = recycle_density %q, scores %turned, tokens %tokens, slots %slots {top = 3, share = 0.3, per_cluster = 10} : f32[T, 2]
        %denser = recycle_density %q, scores %turned, tokens %tokens, slots %slots, counts %counts {share = 0.3, per_cluster = 10} : f32[T, 2]
        %recycled = recycle_rows %dense, scores %turned, tokens %tokens, slots %slots {top = 3, share = 0.3, per_cluster = 10, count = K3} : i32[K3]
        %merged = recycle_merge %q, density %dense, slots %slots, rows %recycled : f32[K3, 8]
        %fused = prefusion_rows %tokens, slots %slots {count = K4} : i32[K4]
        %trimmed = trim_rows %tokens {image = 16, first = 12, count = K5} : i32[K5]
        %made = gather_rows %q, %fused : f32[K4, 8]
        %replaced = replace_rows %q, %made, at %fused : f32[T, 8]
        %words = split_rows %tokens, slots %slots {kind = text, count = X} : i32[X]
        %image = split_rows %tokens, slots %slots {kind = vision, count = W} : i32[W]
        %wq = gather_rows %q, %words : f32[X, 8]
        %ws = gather_rows %slots, %words : i32[X]
        %iq = gather_rows %q, %image : f32[W, 8]
        %is = gather_rows %slots, %image : i32[W]
        %values = mask_heads %iq {mask = [1, 0]} : f32[W, 8]
        %seen = patch_attention %iq, %iq, %values, rows %image, slots %is, text_keys %wq, text_values %wq, text_rows %words, text_slots %ws {mask = [0, 1], kv_heads = 2, scale = 0.5, window = 3, side = 8} : f32[W, 8]
        return %most, %found, %means, %shown, %merged, %denser, %trimmed, %replaced, %seen
      }

      func patches(%q: f32[1, 8], %x: f32[16, 8]) {
        %scores = row_attention %q, %x {heads = 2, scale = 0.5} : f32[16]
        %best = top_rows %scores {rows = 3, order = score} : i32[3]
        %raster = top_rows %scores {rows = 3, order = index} : i32[3]
        %kept = append_samples %best {start = 2, step = 4, rows = 3} : i32[6]
        %means = mean_heads %x {heads = 2} : f32[16, 4]
        %unit = unit_rows %means {epsilon = 1e-12} : f32[16, 4]
        %clusters = cluster_rows %unit {step = 5, count = 3} : i32[16]
        %joined = segment_means %x, %clusters {count = 3} : f32[3, 8]
        %outliers = outlier_rows %scores {factor = 1.5, count = O} : i32[O]
        %sampled = outlier_rows %scores {factor = 1.5, sampled = 1, count = P} : i32[P]
        %rest = complement_rows %outliers {of = 16} : i32[16 - O]
        %merged = merge_neighbours %x, %unit, weights %scores, kept %outliers, rest %rest {neighbours = 4} : f32[O + 1, 8]
        %shown = pad_list %sampled {length = 16} : i32[16]
        return %merged, %joined, %shown, %kept, %raster
      }

      func merging(%x: f32[17, 8], %n: f32[17]) {
        %rows = match_rows %x {merges = 3} : i32[17]
        %first = row_places %rows {count = 14} : i32[14]
        %places = row_places %rows, places %rows {count = 14} : i32[14]
        %counts = segment_sizes %rows {count = 14} : f32[14]
        %sizes = segment_sizes %rows, weights %n {count = 14} : f32[14]
        %bias = log %sizes : f32[14]
        %means = segment_means %x, %rows, weights %n {count = 14} : f32[14, 8]
        return %counts, %bias, %means, %first, %places
      }

      func cover(%a: f32[4, 8], %b: f32[16, 8], %bars: i32[4]) {
        %text = softmax_similarity %a, %b {temperature = 0.02} : f32[4, 16]
        %image = softmax_similarity %b, %b {temperature = 0.2} : f32[16, 16]
        %any = greedy_cover %text, %image {keep = 5, weight = 0.5, patch = 14} : i32[5]
        %inside = greedy_cover %text, %image, bars %bars {keep = 5, weight = 0.5, patch = 14} : i32[5]
        return %any, %inside
      }

      func thresholds(%x: f32[17, 8], %sums: f32[T], %tokens: i32[T], %slots: i32[T], %protected: i32[32]) {
        %class = slice %x {axis = 0, start = 0, count = 1} : f32[1, 8]
        %patches = slice %x {axis = 0, start = 1} : f32[16, 8]
        %windows = similar_windows %patches {window = 2, similarity = 0.8, count = V} : i32[V]
        %means = window_means %patches, %windows {window = 2} : f32[V, 8]
        %merged = concatenate %class, %means {axis = 0} : f32[V + 1, 8]
        %rest = slice %merged {axis = 0, start = 1} : f32[V, 8]
        %scores = row_attention %class, %rest {heads = 2, scale = 0.5} : f32[V]
        %keys = key_rows %scores {part = 8, of = 100} : i32[V]
        %post = post_rows %tokens, slots %slots : i32[T]
        %rows = threshold_rows %sums, most %sums, tokens %tokens, slots %slots, protected %protected {global = 0.001, individual = 0.01, count = K6} : i32[K6]
        cache_keep &decoder.layer0.key_cache, &decoder.layer0.lengths, %slots, %rows as kept.keys
        release &decoder.layer0.lengths, %slots, %rows as kept.lengths
        return %keys, %post
      }

      func affine(%a: f32[T, 8], %b: f32[1, 8], %c: f32[S + 2*T + 3, 8], %d: i32[kept_2], %e: u8[T + 20 - 2*S], %f: u8[9 - S]) {
        %both = concatenate %a, %b, %a {axis = 0} : f32[2*T + 1, 8]
        %list = gather_rows %d, %d : i32[kept_2]
        return %both, %list, %e
      }

      func quantized(%x: f32[T, 8]) {
        %x.q8 = quantize %x {type = q8} : q8[T, 8]
        %y = matmul %x.q8, @decoder.embed.q8 : f32[T, 9]
        return %y
      }

      func "no operation"() {
        return
      }
    }

    """#

@Suite struct RoundTripTests {
    @Test func canonicalTextComesBack() throws {
        let module = try parseModule(canonicalText, file: "canonical.ir")
        #expect(module.description == canonicalText)
        #expect(try parseModule(module.description, file: "canonical.ir") == module)
    }

    @Test func canonicalTextHasEveryOperation() throws {
        let module = try parseModule(canonicalText, file: "canonical.ir")
        let used = Set(module.functions.flatMap(\.operations).map(\.op.mnemonic))
        let folded = module.weights.values.flatMap { weight -> [String] in
            guard case .folded(let operations) = weight.definition else { return [] }
            return operations.map(\.op.mnemonic)
        }
        #expect(used.union(folded) == Set(Op.parsers.map(\.mnemonic)))
    }

    @Test func emptyModule() throws {
        let text = "module \"\" stage imported {\n}\n"
        let module = try parseModule(text, file: "e.ir")
        #expect(module == Module(name: ""))
        #expect(module.description == text)
    }

    /// Blanks, line ends, comments and the order of items are free; integers may stand for floats.
    @Test func freeText() throws {
        let text =
            "// first\r\nmodule\"m\"stage\nimported{symbol T<=9 state&c:f32[1,2,4]func f(%x:f32[T,4],%i:i32[T],%u:u8[2  *T + 1]){cache_store&c,%x,%i,%i as s%y=scale%x{factor=2}:f32[T,4]"
            + "%z=add%y,@w:f32[T,4]return%z}// no use before\n}"
        #expect(throws: Diagnostic.self) { try parseModule(text, file: "f.ir") }
        let module = try parseModule(
            text.replacing("state&c", with: "weight@w:f32[4]=source\"w\"f32[4]\tstate // here\n&c"), file: "f.ir")
        #expect(
            module.description == """
                module "m" stage imported {
                  symbol T <= 9
                  weight @w : f32[4] = source "w" f32[4]

                  state &c : f32[1, 2, 4]

                  func f(%x: f32[T, 4], %i: i32[T], %u: u8[2*T + 1]) {
                    cache_store &c, %x, %i, %i as s
                    %y = scale %x {factor = 2.0} : f32[T, 4]
                    %z = add %y, @w : f32[T, 4]
                    return %z
                  }
                }

                """)
    }

    /// Whatever the sum, its text comes back, and in any order of its parts.
    @Test func dimensions() throws {
        func parsed(_ dimension: String) throws -> Dimension {
            let text = "module \"m\" stage imported { symbol T <= 64 symbol S <= 8 func f(%x: u8[\(dimension)]) { return } }"
            return try parseModule(text, file: "d.ir").functions[0].parameters[0].type.shape[0]
        }
        let (t, s) = (Dimension(Symbol("T", bound: 64)), Dimension(Symbol("S", bound: 8)))
        var found = 0
        for (a, b, c) in (-2...3).flatMap({ a in (-2...3).flatMap { b in [-1, 0, 1, 200].map { (a, b, $0) } } }) {
            let sum = try #require(t.multiplied(by: a)?.adding(s.multiplied(by: b)!)?.adding(Dimension(c)))
            guard sum.fixedValue ?? 1 > 0, try #require(sum.least) >= 0 else { continue }
            #expect(try parsed(sum.description) == sum, "\(sum)")
            found += 1
        }
        #expect(found == 67, "\(found)")
        for (text, printed) in [
            ("1 + T", "T + 1"), ("T + T", "2*T"), ("2 * T", "2*T"), ("1*T", "T"), ("7 - 3", "4"), ("T - T + 5", "5"),
            ("20 + S - 1 - S", "19"),
            ("70 + S - T", "S + 70 - T"), ("T // rows\n + // one more\n 1", "T + 1"), ("3*T - T", "2*T"),
        ] {
            #expect(try parsed(text).description == printed, "\(text)")
        }
    }

    /// Floats print shortest and read back to the same bits.
    @Test func floats() throws {
        var random = SystemRandomNumberGenerator()
        var values: [Float] = [
            0, -0.0, 1, .greatestFiniteMagnitude, .leastNonzeroMagnitude, .leastNormalMagnitude, 0.1, 16_777_216, 1e16, .pi,
        ]
        for _ in 0..<2000 {
            let value = Float(bitPattern: random.next())
            if value.isFinite { values.append(value) }
        }
        var module = Module(name: "floats")
        let parameter = Parameter(name: "x", type: TensorType(.uint8, [1, 1, .fixed(values.count)]))
        var builder = FunctionBuilder("f", parameters: [parameter], in: module)
        let y = try builder.append("y", .normalize(Normalize(mean: values, std: values.reversed())), [.value("x")])
        module.functions.append(builder.finish(returning: [y]))
        let parsed = try parseModule(module.description, file: "floats.ir")
        guard case .normalize(let read) = parsed.functions[0].operations[0].op else {
            Issue.record("not a normalize")
            return
        }
        #expect(read.mean.map(\.bitPattern) == values.map(\.bitPattern))
        #expect(parsed.description == module.description)
    }

    /// Names of any scalars come back.
    @Test func names() throws {
        var random = SystemRandomNumberGenerator()
        let alphabet: [Unicode.Scalar] = [
            "a", "Z", "0", ".", "_", "-", "+", " ", "\"", "\\", "/", "%", "@", "{", "}", "\n", "\r", "\0", "\u{E9}", "\u{301}", "\u{2028}",
            "\u{1F600}", "T", "P",
        ]
        func name() -> String {
            var text = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 0...6, using: &random) { text.append(alphabet.randomElement(using: &random)!) }
            return String(text)
        }
        for _ in 0..<200 {
            var module = Module(name: name())
            let (weight, state, parameter, list, result) = (name(), name(), name(), name(), name())
            if Set([parameter, list, result]).count < 3 { continue }
            module.weights[weight] = Weight(
                type: TensorType(.float32, [4]), definition: .source(SourceTensor(name: name(), type: TensorType(.float16, [4]))))
            module.states[state] = TensorType(.float32, [1, 8, 4])
            let rows = module.declare("T", bound: 8)
            var builder = FunctionBuilder(
                name(),
                parameters: [
                    Parameter(name: parameter, type: TensorType(.float32, [rows, 4])),
                    Parameter(name: list, type: TensorType(.int32, [rows])),
                ], in: module)
            let value = try builder.append(result, .add(Add()), [.value(parameter), .weight(weight)])
            let store = name()
            if ![parameter, list, result].contains(store) {
                try builder.append(store, .cacheStore(CacheStore()), [.state(state), value, .value(list), .value(list)])
            }
            module.functions.append(builder.finish(returning: [value, .weight(weight)]))
            try module.verify()
            let parsed = try parseModule(module.description, file: "names.ir")
            #expect(parsed == module)
            #expect(Array(parsed.description.unicodeScalars) == Array(module.description.unicodeScalars))
        }
    }
}
