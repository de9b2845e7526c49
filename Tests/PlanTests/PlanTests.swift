import IR
import IRText
import Support
import Testing

@testable import Plan

/// A step around `body`; `x` is f32[T, 8], the embedded tokens, T at most 4, S at most 2.
func step(_ body: String, weights: String = "", states: String = "", result: String = "%logits") -> String {
    """
    module "m" stage imported {
      symbol T <= 4
      symbol S <= 2
      weight @table : f32[5, 8] = source "table" f32[5, 8]
      weight @w : f32[8, 8] = source "w" f32[8, 8]
      weight @head : f32[5, 8] = source "head" f32[5, 8]
    \(weights)\(states)
      func step(%tokens: i32[T], %slots: i32[T], %positions: i32[T], %wanted: i32[S]) {
        %x = embed %tokens, @table : f32[T, 8]
    \(body)
        return \(result)
      }
    }
    """
}

/// The logits of the wanted rows of `value`.
func logits(_ value: String) -> String {
    """
        %rows = gather_rows \(value), %wanted : f32[S, 8]
        %logits = matmul %rows, @head : f32[S, 5]
    """
}

/// A tower around `body`; `x` is f32[1, 8].
private func vision(_ body: String) -> String {
    """
    module "m" stage imported {
      weight @w : f32[8, 12] = source "w" f32[8, 12]

      func vision(%image: u8[2, 2, 3]) {
        %patch = extract_patches %image {patch = 2, center = [1.0, 2.0, 3.0]} : f32[1, 12]
        %x = matmul %patch, @w : f32[1, 8]
    \(body)
      }
    }
    """
}

private func plan(_ text: String) throws -> Plan {
    let module = try parseModule(text, file: "test.ir")
    try module.verify()
    return try makePlan(module)
}

private func buffer(_ name: String, of body: Body) throws -> Buffer { try #require(body.buffers.first { $0.name == name }) }

private func copies(_ body: Body) -> Int {
    body.steps.count { if case .run(let kernel, _, _, _) = $0 { kernel.computation == .copy } else { false } }
}

// swift-format-ignore: AlwaysUseLowerCamelCase
private let T = Affine(IR.Symbol("T", bound: 4))

@Suite struct PlanTests {
    @Test func slicesOfColumnsAndRowsAreViews() throws {
        let body = try plan(
            vision(
                """
                    %rows = reshape %x {shape = [4, 2]} : f32[4, 2]
                    %half = slice %rows {axis = 0, start = 1, count = 2} : f32[2, 2]
                    %column = slice %half {axis = 1, start = 1, count = 1} : f32[2, 1]
                    %doubled = scale %column {factor = 2.0} : f32[2, 1]
                    %last = slice %half {axis = 0, start = 1, count = 1} : f32[1, 2]
                    %sum = add %last, %last : f32[1, 2]
                    return %doubled, %sum
                """)
        ).entries[0].body
        #expect(body.steps.count == 4)
        let column = try buffer("column", of: body)
        #expect(column.strides == [2, 1] && column.rowLayout?.stride == 2)
        guard case .inside(_, let start) = column.place else { return #expect(Bool(false), "not a view") }
        #expect(start == 3)
        guard case .inside(_, let row) = try buffer("last", of: body).place else { return #expect(Bool(false), "not a view") }
        #expect(row == 4)
    }

    /// Rows that follow others begin where those end, which a call says.
    @Test func partsOfRowsStandBehindEachOther() throws {
        let result = try plan(
            step(
                """
                    %y = scale %x {factor = 2.0} : f32[T, 8]
                    %z = scale %y {factor = 2.0} : f32[T, 8]
                    %early = gather_rows %x, %wanted : f32[S, 8]
                    %all = concatenate %early, %y, %z {axis = 0} : f32[S + 2*T, 8]
                    %wide = matmul %all, @w : f32[S + 2*T, 8]
                \(logits("%wide"))
                """))
        let body = result.entries[0].body
        // `y` is made in its place, and so is `z` behind it: 8 floats a row.
        let wanted = Affine(IR.Symbol("S", bound: 2))
        for (name, expected) in [("early", 0), ("y", wanted * 8), ("z", wanted * 8 + T * 8)] {
            let place = try buffer(name, of: body).place
            guard case .inside(let parent, let offset) = place else { return #expect(Bool(false), "\(name): \(place)") }
            #expect(body.buffers[parent].name == "all" && offset == expected, "\(name)")
        }
        #expect(copies(body) == 0)
        #expect(try buffer("wide", of: body).rowLayout?.rows == wanted + T * 2)
        #expect(result.timelines.map(\.name) == ["step", "decode"])
        // At once there are 10 rows in one piece and as many behind them, and in one call of one row 3 and 3; x shares what the second piece has.
        #expect(result.timelines[0].byteCount == 2 * 10 * 8 * 4 && result.activationBytes == result.timelines[0].byteCount)
        #expect(result.timelines[1].byteCount == 2 * 128)
        #expect(
            result.region(.tokens)?.byteCount == 16 && result.region(.wanted)?.byteCount == 8 && result.region(.logits)?.byteCount == 40)
        #expect(result.chunk == 4 && result.wantedRows == 2)
    }

    @Test func aTransposedViewIsCopiedOnceForItsReaders() throws {
        let body = try plan(
            vision(
                """
                    %square = reshape %x {shape = [4, 2]} : f32[4, 2]
                    %turned = transpose %square {permutation = [1, 0]} : f32[2, 4]
                    %a = scale %turned {factor = 2.0} : f32[2, 4]
                    %b = scale %turned {factor = 3.0} : f32[2, 4]
                    %c = add %a, %b : f32[2, 4]
                    return %c
                """)
        ).entries[0].body
        #expect(copies(body) == 1)
        #expect(try buffer("turned", of: body).strides == [1, 2])
    }

    @Test func aProductIsWrittenOverItsAddendsLastUse() throws {
        func place(_ rest: String) throws -> (Buffer.Place, Buffer.Place) {
            let body = try plan(
                step(
                    """
                        %a = matmul %x, @w : f32[T, 8]
                        %b = matmul %x, @w, addend %a : f32[T, 8]
                    \(rest)
                    """)
            ).entries[0].body
            return (try buffer("a", of: body).place, try buffer("b", of: body).place)
        }
        let (a, _) = try place(logits("%b"))
        guard case .inside(_, 0) = a else { return #expect(Bool(false), "\(a)") }
        let (kept, other) = try place("    %c = add %a, %b : f32[T, 8]\n\(logits("%c"))")
        // b is added to a afterwards, so both are whole; the sum then lies over one of them.
        #expect(kept != other)
        if case .inside = kept, case .inside = other { #expect(Bool(false), "both share the sum's memory") }
    }

    /// Gate and up as columns of one product: their product is written over the gate's, and the next product steps over the up's.
    @Test func aProductOfColumnsIsWrittenOverOneOfThem() throws {
        func planned(_ rest: String, start: Int = 8) throws -> Plan {
            let weights = """
                  weight @wide : f32[16, 8] = source "wide" f32[16, 8]
                  weight @down : f32[8, 8] = source "down" f32[8, 8]

                """
            return try plan(
                step(
                    """
                        %both = matmul %x, @wide : f32[T, 16]
                        %a = slice %both {axis = 1, start = 0, count = 8} : f32[T, 8]
                        %b = slice %both {axis = 1, start = \(start), count = 8} : f32[T, 8]
                        %y = gate %a, %b {function = silu} : f32[T, 8]
                    \(rest)
                    \(logits("%z"))
                    """, weights: weights))
        }
        let (both, hidden) = (4 * 16 * 4, 4 * 8 * 4)
        let shared = try planned("    %z = matmul %y, @down, addend %x : f32[T, 8]")
        let y = try buffer("y", of: shared.entries[0].body)
        #expect(y.strides == [16, 1] && shared.activationBytes == both + hidden)
        let overlapping = try planned("    %z = matmul %y, @down, addend %x : f32[T, 8]", start: 4)
        #expect(try buffer("y", of: overlapping.entries[0].body).strides == [8, 1])
        // The other half is read again; a reader wants all of y in one piece; y becomes a part of something else.
        for rest in [
            "    %c = add %y, %b : f32[T, 8]\n    %z = matmul %c, @down, addend %x : f32[T, 8]",
            "    %z = attention %y, %y, %y {heads = 2, kv_heads = 2, scale = 1.0} : f32[T, 8]",
            "    %j = concatenate %y, %x {axis = 0} : f32[2*T, 8]\n    %z = matmul %j, @down : f32[2*T, 8]",
        ] {
            #expect(try buffer("y", of: planned(rest).entries[0].body).strides == [8, 1], "\(rest)")
        }
    }

    /// A row is stored where its slot and place say, in the order in which stores and readers stand; rounding formats have strides of their own.
    @Test func whatIsStoredGoesToItsSlot() throws {
        let states = "  state &keys : f32[3, 6, 8]\n  state &rounded : q8h[3, 6, 2, 4]\n  state &lengths : i32[3]\n"
        let result = try plan(
            step(
                """
                    %k = matmul %x, @w : f32[T, 8]
                    %places = reserve &lengths, %slots : i32[T]
                    %early = attention %x, &keys, &keys, slots %slots, places %places {heads = 2, kv_heads = 2, scale = 0.5} : f32[T, 8]
                    cache_store &keys, %k, %slots, %places as store
                    cache_store &rounded, %k, %slots, %places as round
                    %a = attention %early, &rounded, &rounded, slots %slots, places %places {heads = 2, kv_heads = 2, scale = 0.5} : f32[T, 8]
                \(logits("%a"))
                """, states: states))
        let body = result.entries[0].body
        let steps = body.steps.compactMap { step -> (name: String, inputs: [Int], output: Int)? in
            if case .run(_, let name, let inputs, let output) = step { (name, inputs, output) } else { nil }
        }
        #expect(steps.map(\.name) == ["x", "k", "places", "early", "store", "round", "a", "rows", "logits"])
        #expect(copies(body) == 0)
        // 6 rows of 32 bytes and 6 of 8 codes with 2 scales, which are filled up to 64 bytes, in one page.
        let (keys, rounded) = (try buffer("keys", of: body), try buffer("rounded", of: body))
        #expect(result.slots.byteCount == 4096 && keys.strides == [1024, 8, 1] && rounded.strides == [4096, 64, 1])
        #expect(body.buffers[steps[4].output].name == "keys" && body.buffers[steps[5].output].name == "rounded")
        for index in 4...5 { #expect(steps[index].inputs.map { body.buffers[$0].name } == ["k", "slots", "places"]) }
        // The lengths grow, and the slots are only read.
        #expect(try !buffer("lengths", of: body).isConstant && !keys.isConstant && buffer("slots", of: body).isConstant)
        #expect(body.buffers[steps[2].inputs[0]].name == "lengths")
    }

    private static let layers = (0..<3).map { layer in
        """
            %layer\(layer).norm = rms_norm \(layer == 0 ? "%x" : "%layer\(layer - 1).output"), @layer\(layer).scale {epsilon = 1e-5} : f32[T, 8]
            %layer\(layer).output = matmul %layer\(layer).norm, @w, addend \(layer == 0 ? "%x" : "%layer\(layer - 1).output") : f32[T, 8]

        """
    }
    private static let scales = (0..<3).map { "  weight @layer\($0).scale : f32[8] = source \"s\($0)\" f32[8]\n" }.joined()

    @Test func equalLayersShareAFunctionAndATable() throws {
        let result = try plan(step(Self.layers.joined() + logits("%layer2.output"), weights: Self.scales))
        #expect(result.layers.map(\.name) == ["step.layer", "decode.layer"])
        let table = try #require(result.tables.first)
        #expect(table.name == "layer" && table.layers == ["layer0", "layer1", "layer2"])
        // The shared weight stays a constant.
        #expect(table.fields.map(\.name) == ["scale"])
        let offsets = ["layer0.scale", "layer1.scale", "layer2.scale"].compactMap { name in result.weights.first { $0.name == name }?.offset
        }
        #expect(table.rows == offsets.map { [$0] })
        // All three update one buffer.
        for entry in result.entries {
            let calls = entry.body.steps.compactMap { step in
                if case .call(_, let row, _, let arguments) = step { (row, arguments) } else { nil }
            }
            #expect(calls.map(\.0) == [0, 1, 2])
            #expect(Set(calls.map(\.1)).count == 1 && calls[0].1[0] == calls[0].1[1])
        }
    }

    /// Layers that share a function have their caches and lengths in its table.
    @Test func layersHaveCachesOfTheirOwn() throws {
        let layers = (0..<2).map { layer in
            let input = layer == 0 ? "%x" : "%layer0.output"
            return """
                    %layer\(layer).places = reserve &layer\(layer).lengths, %slots : i32[T]
                    cache_store &layer\(layer).cache, \(input), %slots, %layer\(layer).places as layer\(layer).store
                    %layer\(layer).output = attention \(input), &layer\(layer).cache, &layer\(layer).cache, slots %slots, places %layer\(layer).places {heads = 2, kv_heads = 2, scale = 0.5} : f32[T, 8]

                """
        }.joined()
        let states = (0..<2).map { "  state &layer\($0).cache : f32[3, 6, 8]\n  state &layer\($0).lengths : i32[3]\n" }.joined()
        let result = try plan(step(layers + logits("%layer1.output"), states: states))
        let table = try #require(result.tables.first)
        #expect(table.fields.map(\.name).sorted() == ["cache", "lengths"] && table.fields.allSatisfy { $0.kind == .state })
        for (layer, row) in zip(table.layers, table.rows) {
            for (field, offset) in zip(table.fields, row) {
                #expect(result.regions.first { $0.name == "\(layer).\(field.name)" }?.offset == offset, "\(layer).\(field.name)")
            }
        }
    }

    @Test func aTapIsNotOverwritten() throws {
        let text = step(
            Self.layers.joined() + "    %kept = add %layer2.output, %layer0.output : f32[T, 8]\n\(logits("%kept"))", weights: Self.scales)
        let calls = try plan(text).entries[0].body.steps.compactMap { step in
            if case .call(_, _, _, let arguments) = step { arguments } else { nil }
        }
        #expect(calls.count == 3)
        #expect(calls[0][0] == calls[0][1] && calls[1][0] != calls[1][1] && calls[2][0] == calls[2][1])
        #expect(calls[1][0] == calls[0][1])
    }

    /// Here the result's memory is written before the input is read for the last time.
    @Test func aLayerThatStillReadsItsInputGetsAnotherPlace() throws {
        let body = (0..<2).map { layer in
            let input = layer == 0 ? "%x" : "%layer0.output"
            return """
                    %layer\(layer).product = matmul \(input), @w : f32[T, 8]
                    %layer\(layer).output = add %layer\(layer).product, \(input) : f32[T, 8]

                """
        }.joined()
        let steps = try plan(step(body + logits("%layer1.output"))).entries[0].body.steps
        let calls = steps.compactMap { step in if case .call(_, _, _, let arguments) = step { arguments } else { nil } }
        #expect(calls.count == 2 && calls[0][0] != calls[0][1] && calls[1][0] == calls[0][1] && calls[1][1] != calls[1][0])
    }

    @Test func aLayerThatDiffersIsNotShared() throws {
        var layers = Self.layers
        layers[1] = layers[1].replacing("1e-5", with: "1e-6")
        let result = try plan(step(layers.joined() + logits("%layer2.output"), weights: Self.scales))
        let rows = result.entries[0].body.steps.map { step in if case .call(_, let row, _, _) = step { row } else { -1 } }
        // Layers 0 and 2 share; 1 stands in the entry point.
        #expect(rows == [-1, 0, -1, -1, 1, -1, -1])
        #expect(result.tables.map(\.layers) == [["layer0", "layer2"]])
    }

    @Test func weightsAndRegionsAreAligned() throws {
        let result = try plan(step(logits("%x")))
        #expect(result.weights.map(\.name) == ["table", "head"])
        #expect(result.weights.map(\.offset) == [0, 192] && result.weights.map(\.byteCount) == [160, 160] && result.weightBytes == 384)
        #expect(result.regions.map(\.name) == ["tokens", "slots", "positions", "wanted", "logits", "scratch"])
        #expect(result.regions.allSatisfy { $0.offset % 64 == 0 })
        #expect(result.hidden == 8 && result.vocabulary == 5)
    }

    /// `decode` is `step` of one row: the same weights, no gathering of rows, no symbols.
    @Test func decodeIsAStepOfOneRow() throws {
        let states = "  state &keys : f32[3, 6, 8]\n  state &lengths : i32[3]\n"
        let module = try parseModule(
            step(
                """
                    %places = reserve &lengths, %slots : i32[T]
                    cache_store &keys, %x, %slots, %places as store
                    %a = attention %x, &keys, &keys, slots %slots, places %places {heads = 2, kv_heads = 2, scale = 0.5} : f32[T, 8]
                    %other = gather_rows %a, %slots : f32[T, 8]
                    %pair = concatenate %other, %a {axis = 0} : f32[2*T, 8]
                    %second = gather_rows %pair, %wanted : f32[S, 8]
                    %first = gather_rows %a, %wanted : f32[S, 8]
                    %sum = add %first, %second : f32[S, 8]
                    %logits = matmul %sum, @head : f32[S, 5]
                """, states: states), file: "test.ir")
        let decode = try #require(try module.decodeFunction())
        #expect(decode.name == "decode" && decode.parameters.map(\.type) == Array(repeating: TensorType(.int32, fixed: [1]), count: 4))
        // Gathering is left out where the wanted row is the only one: not by another list, and not from more rows.
        #expect(decode.operations.map(\.name) == ["x", "places", "store", "a", "other", "pair", "second", "sum", "logits"])
        #expect(decode.operations.allSatisfy { $0.type?.symbols.isEmpty ?? true })
        #expect(decode.operations[7].operands == [.value("a"), .value("second")])
        #expect(decode.operations[8].type == TensorType(.float32, fixed: [1, 5]) && decode.results == [.value("logits")])
        #expect(decode.operations.first { $0.name == "pair" }?.type == TensorType(.float32, fixed: [2, 8]))
        // It costs no weight and no memory of its own, and reads and writes where step does.
        let result = try makePlan(module)
        #expect(result.entries.map(\.entry) == [.step, .decode] && result.weights.map(\.name) == ["table", "head"])
        #expect(result.regions.map(\.name) == ["lengths", "tokens", "slots", "positions", "wanted", "logits", "scratch", "keys"])
        for entry in result.entries {
            let touched = entry.body.steps.flatMap { step in
                if case .run(_, _, let inputs, let output) = step { inputs + [output] } else { [] as [Int] }
            }
            let symbols = Set(touched.flatMap { entry.body.buffers[$0].type.symbols.map(\.name) })
            #expect(symbols == (entry.entry == .decode ? [] : ["T", "S"]), "\(entry.entry)")
        }
    }

    /// A row of text is all rows of text, and there are no vision rows: what is done with them is not done, and nothing of it is stored.
    @Test func decodeHasNoVisionRows() throws {
        let states = "  symbol W <= 4\n  symbol X <= 4\n  state &keys : f32[3, 6, 8]\n  state &lengths : i32[3]\n"
        let module = try parseModule(
            step(
                """
                    %text = split_rows %tokens, slots %slots {kind = text, count = X} : i32[X]
                    %image = split_rows %tokens, slots %slots {kind = vision, count = W} : i32[W]
                    %xt = gather_rows %x, %text : f32[X, 8]
                    %xi = gather_rows %x, %image : f32[W, 8]
                    %st = gather_rows %slots, %text : i32[X]
                    %si = gather_rows %slots, %image : i32[W]
                    %places = reserve &lengths, %slots : i32[T]
                    %pt = gather_rows %places, %text : i32[X]
                    %pi = gather_rows %places, %image : i32[W]
                    cache_store &keys, %xt, %st, %pt as text_store
                    %masked = mask_heads %xi {mask = [1, 0]} : f32[W, 8]
                    cache_store &keys, %masked, %si, %pi as image_store
                    %a = attention %xt, &keys, &keys, slots %st, places %pt {heads = 2, kv_heads = 2, scale = 0.5} : f32[X, 8]
                    %found = find_rows %text, %wanted : i32[S]
                    %rows = gather_rows %a, %found : f32[S, 8]
                    %logits = matmul %rows, @head : f32[S, 5]
                """, states: states), file: "test.ir")
        let decode = try #require(try module.decodeFunction())
        #expect(decode.operations.map(\.name) == ["x", "places", "text_store", "a", "logits"])
        #expect(decode.operations[2].operands == [.state("keys"), .value("x"), .region(.slots), .value("places")])
        let plan = try makePlan(module)
        #expect(plan.takesWholePrompts && plan.slots.caches.map(\.name) == ["keys"])
    }

    /// What is wanted may be all that is there.
    /// Rows that a call of text has none of leave nothing in `decode`, caches and their lengths included.
    @Test func decodeHasNoPrefusion() throws {
        let module = try parseModule(
            """
            module "m" stage imported {
              symbol T <= 8
              symbol S <= 2
              symbol D <= 8
              symbol P <= 8
              weight @table : f32[5, 4] = source "t" f32[5, 4]
              weight @head : f32[5, 4] = source "h" f32[5, 4]
              state &n : i32[1]
              state &k : f32[1, 8, 4]

              func step(%tokens: i32[T], %slots: i32[T], %positions: i32[T], %wanted: i32[S], %vision_rows: f32[4, 4]) {
                %x = embed %tokens, @table, vision %vision_rows : f32[T, 4]
                %kept = trim_rows %tokens {image = 4, first = 3, count = D} : i32[D]
                %list = prefusion_rows %tokens, slots %slots {count = P} : i32[P]
                %own = gather_rows %slots, %list : i32[P]
                %in = gather_rows %x, %list : f32[P, 4]
                %places = reserve &n, %own : i32[P]
                cache_store &k, %in, %own, %places as store
                %a = attention %in, &k, &k, slots %own, places %places {heads = 2, kv_heads = 2, scale = 0.5} : f32[P, 4]
                %targets = find_rows %kept, %list : i32[P]
                %plain = gather_rows %x, %kept : f32[D, 4]
                %y = replace_rows %plain, %a, at %targets : f32[D, 4]
                %there = find_rows %kept, %wanted : i32[S]
                %rows = gather_rows %y, %there : f32[S, 4]
                %logits = matmul %rows, @head : f32[S, 5]
                return %logits
              }
            }
            """, file: "t")
        let decode = try #require(try module.decodeFunction())
        #expect(decode.operations.map(\.name) == ["x", "logits"] && decode.operations.last?.operands == [.value("x"), .weight("head")])
    }

    @Test func decodeMayReturnWhatIsNotGathered() throws {
        let text = step("    %all = matmul %x, @head : f32[T, 5]\n    %logits = gather_rows %all, %wanted : f32[S, 5]")
        let module = try parseModule(text, file: "test.ir")
        #expect(try module.decodeFunction()?.results == [.value("all")])
        let decode = try makePlan(module).entries[1].body
        // It is made where logits are read.
        #expect(copies(decode) == 0 && decode.buffers.contains { $0.name == "logits" || $0.name == "all" })
        #expect(decode.steps.count == 2)
    }

    @Test func aModuleWithoutAStepHasNoDecode() throws {
        let module = try parseModule(vision("    return %x"), file: "test.ir")
        #expect(try module.decodeFunction() == nil)
        #expect(try makePlan(module).entries.map(\.entry) == [.vision])
    }

    @Test func namesWithNumbersMakeLayers() {
        let layer = ModelLayer(of: "decoder.layer12.mlp.down")
        #expect(layer?.name == "decoder.layer12" && layer?.stem == "decoder.layer" && layer?.index == 12)
        #expect(layer?.local("decoder.layer12.mlp.down") == "mlp.down" && layer?.local("decoder.layer1.x") == "decoder.layer1.x")
        #expect(ModelLayer(of: "model.layers.3.norm")?.stem == "model.layers")
        #expect(ModelLayer(of: "vision.tap3") == nil && ModelLayer(of: "decoder.norm") == nil && ModelLayer(of: "3.x") == nil)
    }
}

@Suite struct PlanErrorTests {
    private func message(_ text: String) throws -> String {
        let module = try parseModule(text, file: "test.ir")
        do throws(Diagnostic) {
            _ = try makePlan(module)
            return "no error"
        } catch {
            return error.rendered
        }
    }

    private let fine = step(logits("%x"))

    @Test func signatures() throws {
        #expect(try message(fine) == "no error")
        #expect(
            try message(fine.replacing("func step", with: "func encode"))
                == "error: function 'encode' is not an entry point, at operation 'encode'; expected vision, project or step")
        // The plan derives it, and a module has none.
        #expect(
            try message(fine.replacing("func step", with: "func decode"))
                == "error: function 'decode' is not an entry point, at operation 'decode'; expected vision, project or step")
        let lists = "expected i32[T] three times, i32[S] and perhaps the vision rows"
        #expect(
            try message(fine.replacing("%slots: i32[T]", with: "%slots: i32[S]"))
                == "error: 'step' takes (i32[T], i32[S], i32[T], i32[S]), at operation 'step'; \(lists)")
        #expect(
            try message(fine.replacing("%slots: i32[T], ", with: ""))
                == "error: 'step' takes (i32[T], i32[T], i32[S]), at operation 'step'; \(lists)")
        func behindWanted(_ parameters: String) throws -> String {
            try message(fine.replacing("%wanted: i32[S]", with: "%wanted: i32[S], %vision_rows: f32[6, 8], \(parameters)"))
        }
        #expect(try behindWanted("%protected_rows: i32[6]") == "no error")
        for list in ["f32[6]", "i32[5]", "i32[T]"] {
            #expect(
                try behindWanted("%more: \(list)")
                    == "error: 'step' takes (i32[T], i32[T], i32[T], i32[S], f32[6, 8], \(list)), at operation 'step'; "
                    + "expected i32[6] of protected vision rows")
        }
        #expect(
            try behindWanted("%protected_rows: i32[6], %more: i32[6]")
                == "error: 'step' takes (i32[T], i32[T], i32[T], i32[S], f32[6, 8], i32[6], i32[6]), at operation 'step'; \(lists)")
        for rows in ["f32[T, 8]", "i32[6, 8]", "f32[8]"] {
            #expect(
                try message(fine.replacing("%wanted: i32[S]", with: "%wanted: i32[S], %vision_rows: \(rows)"))
                    == "error: 'step' takes (i32[T], i32[T], i32[T], i32[S], \(rows)), at operation 'step'; "
                    + "expected a static f32 matrix as vision rows", "\(rows)")
        }
        for (result, replaced) in [("%x, %logits", "return %logits"), ("%x", "return %logits"), ("%rows", "return %logits")] {
            // Two results, T rows, and the wanted rows that are no logits: these last are f32[S, 8], a vocabulary of 8.
            let expected =
                result == "%rows"
                ? "no error"
                : "error: 'step' does not return the logits of the wanted rows, at operation 'step'; expected f32[S, V]"
            #expect(try message(fine.replacing(replaced, with: "return \(result)")) == expected, "\(result)")
        }
        for symbol in ["T", "S"] {
            let count = symbol == "T" ? 4 : 2
            #expect(
                try message(
                    fine.replacing("symbol \(symbol) <= \(count)", with: "symbol N <= \(count)").replacing("[\(symbol)", with: "[N"))
                    == "error: the module has no symbol '\(symbol)', at operation 'step'; expected one with its bound")
        }
        #expect(
            try message(
                """
                module "m" stage imported {
                  func vision(%image: u8[2, 2, 3]) {
                    %pixels = normalize %image {mean = [0.0, 0.0, 0.0], std = [1.0, 1.0, 1.0]} : f32[3, 2, 2]
                    return %pixels
                  }
                  func project(%a: f32[2, 6]) {
                    return %a
                  }
                }
                """) == "error: 'project' takes (f32[2, 6]), at operation 'project'; expected the results of 'vision'")
    }

    /// What `project` reads beside the results of `vision`: the question, and then the bars.
    @Test func regionsOfProject() throws {
        func project(_ parameters: String, symbol: String = "Q") throws -> String {
            try message(
                """
                module "m" stage imported {
                  symbol \(symbol) <= 5
                  func vision(%image: u8[2, 2, 3]) {
                    %pixels = normalize %image {mean = [0.0, 0.0, 0.0], std = [1.0, 1.0, 1.0]} : f32[3, 2, 2]
                    %taps = reshape %pixels {shape = [4, 3]} : f32[4, 3]
                    return %taps
                  }
                  func project(%a: f32[4, 3]\(parameters)) {
                    return %a
                  }
                }
                """)
        }
        let expected = "expected the results of 'vision', then perhaps 'question' i32[Q] and 'bars' i32[4]"
        #expect(try project("") == "no error")
        #expect(try project(", %question: i32[Q]") == "no error")
        #expect(try project(", %question: i32[Q], %bars: i32[4]") == "no error")
        for (parameters, types) in [
            (", %bars: i32[4]", "i32[4]"), (", %question: i32[3]", "i32[3]"), (", %question: f32[Q]", "f32[Q]"),
            (", %asked: i32[Q]", "i32[Q]"), (", %question: i32[Q], %bars: i32[5]", "i32[Q], i32[5]"),
            (", %bars: i32[4], %question: i32[Q]", "i32[4], i32[Q]"),
            (", %question: i32[Q], %bars: i32[4], %more: i32[4]", "i32[Q], i32[4], i32[4]"),
        ] {
            #expect(
                try project(parameters) == "error: 'project' takes (f32[4, 3], \(types)), at operation 'project'; \(expected)",
                "\(parameters)")
        }
        #expect(try project(", %question: i32[N]", symbol: "N").contains(expected))
    }

    @Test func shapes() throws {
        let weights = "  weight @huge : f32[2305843009213693951] = source \"huge\" f32[2305843009213693951]\n"
        #expect(
            try message(
                step(
                    """
                        %few = slice @huge {axis = 0, start = 0, count = 8} : f32[8]
                        %y = add %x, %few : f32[T, 8]
                    \(logits("%y"))
                    """, weights: weights))
                == "error: f32[2305843009213693951] passes 2^63 bytes, at operation 'step: %huge'")
        #expect(
            try message(step("    %turned = transpose %x {permutation = [1, 0]} : f32[8, T]\n\(logits("%x"))"))
                == "error: f32[8, T] has 'T' in a dimension after the first, at operation 'step: %turned'; expected symbols in the first only"
        )
    }
}
