import IR
import IRText
import Support
import Testing

@testable import Plan

/// A decode function around `body`; `x` is f32[1, 8], the embedded token.
private func decode(_ body: String, weights: String = "", states: String = "", result: String = "%logits") -> String {
    """
    module "m" stage imported {
      weight @table : f32[5, 8] = source "table" f32[5, 8]
      weight @w : f32[8, 8] = source "w" f32[8, 8]
      weight @head : f32[5, 8] = source "head" f32[5, 8]
    \(weights)\(states)
      func decode(%tokens: i32[1]) at P {
        %x = embed %tokens, @table : f32[1, 8]
    \(body)
        return \(result)
      }
    }
    """
}

private func plan(_ text: String, chunk: Int = 4) throws -> Plan {
    let module = try parseModule(text, file: "test.ir")
    try module.verify()
    return try makePlan(module, chunk: chunk)
}

private func buffer(_ name: String, of body: Body) throws -> Buffer { try #require(body.buffers.first { $0.name == name }) }

@Suite struct PlanTests {
    @Test func slicesOfColumnsAndRowsAreViews() throws {
        let body = try plan(
            decode(
                """
                    %rows = reshape %x {shape = [4, 2]} : f32[4, 2]
                    %half = slice %rows {axis = 0, start = 1, count = 2} : f32[2, 2]
                    %column = slice %half {axis = 1, start = 1, count = 1} : f32[2, 1]
                    %doubled = scale %column {factor = 2.0} : f32[2, 1]
                    %last = last_row %half : f32[1, 2]
                    %sum = add %last, %last : f32[1, 2]
                    %logits = matmul %x, @head : f32[1, 5]
                """)
        ).entries[0].body
        #expect(body.steps.count == 4)
        let column = try buffer("column", of: body)
        #expect(column.strides == [2, 1] && column.rowLayout?.stride == 2)
        guard case .inside(_, let start, 0, 0) = column.place else { return #expect(Bool(false), "not a view") }
        #expect(start == 3)
        guard case .inside(_, let row, 0, 0) = try buffer("last", of: body).place else { return #expect(Bool(false), "not a view") }
        #expect(row == 4)
    }

    @Test func lastRowOfASequenceMovesWithT() throws {
        let text = decode("    %logits = matmul %x, @head : f32[1, 5]").replacing(
            "func decode",
            with: """
                func prefill(%tokens: i32[T]) at P {
                    %x = embed %tokens, @table : f32[T, 8]
                    %last = last_row %x : f32[1, 8]
                    %logits = matmul %last, @head : f32[1, 5]
                    return %logits
                  }
                  func decode
                """)
        let result = try plan(text, chunk: 6)
        let last = try buffer("last", of: result.entries[0].body)
        guard case .inside(_, 0, let stride, 0) = last.place else { return #expect(Bool(false), "not a view") }
        #expect(stride == 8)
        #expect(result.timelines.map(\.name) == ["prefill", "decode"])
        #expect(result.timelines[0].byteCount == 6 * 8 * 4 && result.activationBytes == 6 * 8 * 4)
        #expect(result.region(.tokens)?.byteCount == 24)
    }

    @Test func aTransposedViewIsCopiedOnceForItsReaders() throws {
        let body = try plan(
            decode(
                """
                    %square = reshape %x {shape = [4, 2]} : f32[4, 2]
                    %turned = transpose %square {permutation = [1, 0]} : f32[2, 4]
                    %a = scale %turned {factor = 2.0} : f32[2, 4]
                    %b = scale %turned {factor = 3.0} : f32[2, 4]
                    %c = add %a, %b : f32[2, 4]
                    %logits = matmul %x, @head : f32[1, 5]
                """)
        ).entries[0].body
        #expect(body.steps.count { if case .run(let kernel, _, _, _) = $0 { kernel.computation == .copy } else { false } } == 1)
        #expect(try buffer("turned", of: body).strides == [1, 2])
    }

    @Test func aProductIsWrittenOverItsAddendsLastUse() throws {
        func place(_ rest: String) throws -> (Buffer.Place, Buffer.Place) {
            let body = try plan(
                decode(
                    """
                        %a = matmul %x, @w : f32[1, 8]
                        %b = matmul %x, @w, addend %a : f32[1, 8]
                    \(rest)
                    """)
            ).entries[0].body
            return (try buffer("a", of: body).place, try buffer("b", of: body).place)
        }
        let (a, _) = try place("    %logits = matmul %b, @head : f32[1, 5]")
        guard case .inside(_, 0, 0, 0) = a else { return #expect(Bool(false), "\(a)") }
        let (kept, other) = try place("    %c = add %a, %b : f32[1, 8]\n    %logits = matmul %c, @head : f32[1, 5]")
        // b is added to a afterwards, so both are whole; the sum then lies over one of them.
        func home(_ place: Buffer.Place, _ body: Body) -> Buffer.Place { place }
        #expect(kept != other)
        if case .inside = kept, case .inside = other { #expect(Bool(false), "both share the sum's memory") }
    }

    /// Gate and up as columns of one product: their product is written over the gate's, and the next product steps over the up's.
    @Test func aProductOfColumnsIsWrittenOverOneOfThem() throws {
        func planned(_ rest: String, start: Int = 8) throws -> Plan {
            try plan(
                """
                module "m" stage optimized {
                  weight @table : f32[5, 8] = source "table" f32[5, 8]
                  weight @wide : f32[16, 8] = source "wide" f32[16, 8]
                  weight @down : f32[8, 8] = source "down" f32[8, 8]
                  weight @head : f32[5, 8] = source "head" f32[5, 8]

                  func prefill(%tokens: i32[T]) at P {
                    %x = embed %tokens, @table : f32[T, 8]
                    %both = matmul %x, @wide : f32[T, 16]
                    %a = slice %both {axis = 1, start = 0, count = 8} : f32[T, 8]
                    %b = slice %both {axis = 1, start = \(start), count = 8} : f32[T, 8]
                    %y = gate %a, %b {function = silu} : f32[T, 8]
                \(rest)
                    %last = last_row %z : f32[1, 8]
                    %logits = matmul %last, @head : f32[1, 5]
                    return %logits
                  }
                }
                """, chunk: 6)
        }
        let (both, hidden) = (6 * 16 * 4, 6 * 8 * 4)
        let shared = try planned("    %z = matmul %y, @down, addend %x : f32[T, 8]")
        let y = try buffer("y", of: shared.entries[0].body)
        #expect(y.strides == [16, 1] && shared.activationBytes == both + hidden)
        let overlapping = try planned("    %z = matmul %y, @down, addend %x : f32[T, 8]", start: 4)
        #expect(try buffer("y", of: overlapping.entries[0].body).strides == [8, 1])
        // The other half is read again; a reader wants all of y in one piece; y becomes a part of something else.
        for rest in [
            "    %c = add %y, %b : f32[T, 8]\n    %z = matmul %c, @down, addend %x : f32[T, 8]",
            "    %z = attention %y, %y, %y {heads = 2, kv_heads = 2, scale = 1.0} : f32[T, 8]",
        ] {
            #expect(try buffer("y", of: planned(rest).entries[0].body).strides == [8, 1], "\(rest)")
        }
    }

    @Test func whatIsStoredIsMadeInTheCache() throws {
        let states = "  state &keys : f32[6, 8]\n"
        let direct = try plan(
            decode(
                """
                    %k = matmul %x, @w : f32[1, 8]
                    cache_store &keys, %k as store
                    %a = attention %x, &keys, &keys {heads = 2, kv_heads = 2, scale = 0.5} : f32[1, 8]
                    %logits = matmul %a, @head : f32[1, 5]
                """, states: states)
        ).entries[0].body
        #expect(!direct.steps.contains { if case .run(let kernel, _, _, _) = $0 { kernel.computation == .copy } else { false } })
        guard case .inside(_, 0, 0, let position) = try buffer("k", of: direct).place else {
            return #expect(Bool(false), "not in the cache")
        }
        #expect(position == 8)
        // Here the cache is read between the making of k and its store: the old row must still be there.
        let copied = try plan(
            decode(
                """
                    %k = matmul %x, @w : f32[1, 8]
                    %a = attention %x, &keys, &keys {heads = 2, kv_heads = 2, scale = 0.5} : f32[1, 8]
                    cache_store &keys, %k as store
                    %logits = matmul %a, @head : f32[1, 5]
                """, states: states)
        ).entries[0].body
        #expect(copied.steps.contains { if case .run(let kernel, _, _, _) = $0 { kernel.computation == .copy } else { false } })
    }

    private static let layers = (0..<3).map { layer in
        """
            %layer\(layer).norm = rms_norm \(layer == 0 ? "%x" : "%layer\(layer - 1).output"), @layer\(layer).scale {epsilon = 1e-5} : f32[1, 8]
            %layer\(layer).output = matmul %layer\(layer).norm, @w, addend \(layer == 0 ? "%x" : "%layer\(layer - 1).output") : f32[1, 8]

        """
    }
    private static let scales = (0..<3).map { "  weight @layer\($0).scale : f32[8] = source \"s\($0)\" f32[8]\n" }.joined()

    @Test func equalLayersShareAFunctionAndATable() throws {
        let result = try plan(
            decode(Self.layers.joined() + "    %logits = matmul %layer2.output, @head : f32[1, 5]", weights: Self.scales))
        #expect(result.layers.count == 1 && result.layers[0].name == "decode.layer")
        let table = try #require(result.tables.first)
        #expect(table.name == "layer" && table.layers == ["layer0", "layer1", "layer2"])
        // The shared weight stays a constant.
        #expect(table.fields.map(\.name) == ["scale"])
        let offsets = ["layer0.scale", "layer1.scale", "layer2.scale"].compactMap { name in result.weights.first { $0.name == name }?.offset
        }
        #expect(table.rows == offsets.map { [$0] })
        // All three update one buffer.
        let calls = result.entries[0].body.steps.compactMap { step in
            if case .call(_, let row, _, let arguments) = step { (row, arguments) } else { nil }
        }
        #expect(calls.map(\.0) == [0, 1, 2])
        #expect(Set(calls.map(\.1)).count == 1 && calls[0].1[0] == calls[0].1[1])
    }

    @Test func aTapIsNotOverwritten() throws {
        let text = decode(
            Self.layers.joined()
                + "    %kept = add %layer2.output, %layer0.output : f32[1, 8]\n    %logits = matmul %kept, @head : f32[1, 5]",
            weights: Self.scales)
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
                    %layer\(layer).product = matmul \(input), @w : f32[1, 8]
                    %layer\(layer).output = add %layer\(layer).product, \(input) : f32[1, 8]

                """
        }.joined()
        let steps = try plan(decode(body + "    %logits = matmul %layer1.output, @head : f32[1, 5]")).entries[0].body.steps
        let calls = steps.compactMap { step in if case .call(_, _, _, let arguments) = step { arguments } else { nil } }
        #expect(calls.count == 2 && calls[0][0] != calls[0][1] && calls[1][0] == calls[0][1] && calls[1][1] != calls[1][0])
    }

    @Test func aLayerThatDiffersIsNotShared() throws {
        var layers = Self.layers
        layers[1] = layers[1].replacing("1e-5", with: "1e-6")
        let result = try plan(decode(layers.joined() + "    %logits = matmul %layer2.output, @head : f32[1, 5]", weights: Self.scales))
        let rows = result.entries[0].body.steps.map { step in if case .call(_, let row, _, _) = step { row } else { -1 } }
        // Layers 0 and 2 share; 1 stands in the entry point.
        #expect(rows == [-1, 0, -1, -1, 1, -1])
        #expect(result.tables.map(\.layers) == [["layer0", "layer2"]])
    }

    @Test func weightsAndRegionsAreAligned() throws {
        let result = try plan(decode("    %logits = matmul %x, @head : f32[1, 5]"))
        #expect(result.weights.map(\.name) == ["table", "head"])
        #expect(result.weights.map(\.offset) == [0, 192] && result.weights.map(\.byteCount) == [160, 160] && result.weightBytes == 384)
        #expect(result.regions.map(\.name) == ["tokens", "logits", "scratch"])
        #expect(result.regions.allSatisfy { $0.offset % 64 == 0 })
        #expect(result.hidden == 8 && result.vocabulary == 5)
    }

    /// `score` is `prefill` without its last_row, in chunks of its own, and costs no weight.
    @Test func scoringHasEveryRow() throws {
        let text = decode("    %logits = matmul %x, @head : f32[1, 5]").replacing(
            "func decode",
            with: """
                func prefill(%tokens: i32[T]) at P {
                    %p = embed %tokens, @table : f32[T, 8]
                    %q = scale %p {factor = 2.0} : f32[T, 8]
                    %p.last = last_row %p : f32[1, 8]
                    %q.last = last_row %q : f32[1, 8]
                    %sum = add %q.last, %p.last : f32[1, 8]
                    %l = matmul %sum, @head : f32[1, 5]
                    return %l
                  }
                  func decode
                """)
        let module = try parseModule(text, file: "test.ir")
        try module.verify()
        let without = try makePlan(module, chunk: 1024)
        let plan = try makePlan(module, chunk: 1024, scoring: true)
        #expect(plan.weights == without.weights && without.scoreRows == 0)
        #expect(plan.scoreRows == 256 && plan.entries.map(\.entry) == [.prefill, .decode, .score])
        #expect(plan.region(.scores)?.type == TensorType(.float32, fixed: [256, 5]))
        let score = plan.entries[2]
        #expect(score.body.uses(.sequence))
        #expect(score.body.buffers.first { $0.name == "l" }?.type == TensorType(.float32, [.sequence, .fixed(5)]))
        #expect(!score.body.buffers.contains { if case .inside(_, _, let lastRow, _) = $0.place { lastRow != 0 } else { false } })
        #expect(scoreRowCount(vocabulary: 128_256, chunk: 1024) == 32 && scoreRowCount(vocabulary: 32_000, chunk: 64) == 64)
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
    private func message(_ text: String, chunk: Int = 4) throws -> String {
        let module = try parseModule(text, file: "test.ir")
        do throws(Diagnostic) {
            _ = try makePlan(module, chunk: chunk)
            return "no error"
        } catch {
            return error.rendered
        }
    }

    @Test func errorTexts() throws {
        let fine = decode("    %logits = matmul %x, @head : f32[1, 5]")
        #expect(try message(fine) == "no error")
        #expect(try message(fine, chunk: 0) == "error: a chunk of 0 tokens; expected at least 1")
        #expect(
            try message(fine.replacing("func decode", with: "func encode"))
                == "error: function 'encode' is not an entry point, at operation 'encode'; expected vision, project, prefill or decode")
        #expect(
            try message(fine.replacing("i32[1]", with: "i32[2]").replacing("f32[1, ", with: "f32[2, "))
                == "error: 'decode' takes (i32[2]), at operation 'decode'; expected i32[1] and perhaps the vision rows")
        #expect(
            try message(fine.replacing("return %logits", with: "return %x, %logits"))
                == "error: 'decode' does not return the logits of one row, at operation 'decode'; expected f32[1, V]")
        let weights = "  weight @huge : f32[2305843009213693951] = source \"huge\" f32[2305843009213693951]\n"
        #expect(
            try message(
                decode(
                    """
                        %few = slice @huge {axis = 0, start = 0, count = 8} : f32[8]
                        %y = add %x, %few : f32[1, 8]
                        %logits = matmul %y, @head : f32[1, 5]
                    """, weights: weights))
                == "error: f32[2305843009213693951] with T = 4 passes 2^63 bytes, at operation 'decode: %huge'")
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
        let long = decode(
            "    %logits = matmul %x, @head : f32[1, 5]",
            states: "  state &a : f32[1000000000000000000, 2]\n  state &b : f32[1000000000000000000, 2]\n")
        #expect(try message(long) == "error: the arena passes 2^63 bytes")
        let prefill = fine.replacing("func decode(%tokens: i32[1])", with: "func prefill(%tokens: i32[T])")
            .replacing("f32[1, 8]", with: "f32[T, 8]")
            .replacing(
                "%logits = matmul %x",
                with:
                    "%turned = transpose %x {permutation = [1, 0]} : f32[8, T]\n    %last = last_row %x : f32[1, 8]\n    %logits = matmul %last"
            )
        #expect(
            try message(prefill)
                == "error: f32[8, T] has T in a dimension after the first, at operation 'prefill: %turned'; expected T as the first dimension only"
        )
    }
}
