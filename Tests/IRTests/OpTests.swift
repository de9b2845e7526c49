import IR
import Testing

@Suite struct OpTests {
    @Test func everyParserHasASampleAndAMnemonicOfItsOwn() {
        #expect(Set(Op.parsers.map(\.mnemonic)).count == Op.parsers.count)
        #expect(Set(samples.map(\.mnemonic)) == Set(Op.parsers.map(\.mnemonic)))
    }

    @Test(arguments: samples) func payloadComesBackFromItsAttributes(_ op: Op) throws {
        let payload = op.payload
        let attributes = Dictionary(uniqueKeysWithValues: payload.attributes.map { ($0.name, $0.value) })
        let make = try #require(Op.parsers.first { $0.mnemonic == op.mnemonic }).make
        // The most operands that any operation labels
        var reader = AttributeReader(attributes, labels: payload.operandLabels(count: 5))
        #expect(try make(&reader) == op)
        #expect(throws: Never.self) { try reader.finish() }
    }

    @Test(arguments: samples) func everyAttributeIsNeededOrHasADefault(_ op: Op) throws {
        let payload = op.payload
        let make = try #require(Op.parsers.first { $0.mnemonic == op.mnemonic }).make
        for left in payload.attributes {
            let rest = payload.attributes.filter { $0.name != left.name }
            var reader = AttributeReader(
                Dictionary(uniqueKeysWithValues: rest.map { ($0.name, $0.value) }), labels: payload.operandLabels(count: 5))
            do throws(TypeError) {
                // Left out, it is another operation, or the attributes that need it are unknown.
                let other = try make(&reader)
                #expect(other != op, "\(left.name)")
            } catch {
                #expect(error.message == "attribute '\(left.name)' is missing")
            }
        }
    }

    @Test func onlyWhatWritesCachesAndLengthsHasAnEffect() {
        #expect(
            samples.filter(\.hasEffect)
                == [.reserve(Reserve()), .cacheStore(CacheStore()), .cacheKeep(CacheKeep()), .release(Release())])
        #expect(samples.compactMap(\.payload.updatedState) == [0, 0, 0, 0])
        #expect(samples.filter(\.payload.cutsCaches) == [.cacheKeep(CacheKeep()), .release(Release())])
    }

    @Test func operandsThatAreStates() {
        for op in samples {
            let expected: Set<Int> =
                switch op {
                case .reserve, .cacheStore, .release: [0]
                case .cacheKeep: [0, 1]
                case .attention(let attention) where attention.isCached: [1, 2]
                default: []
                }
            #expect(op.payload.stateOperands == expected, "\(op.mnemonic)")
        }
    }

    /// By mnemonic, of the samples; what is not listed has the trait of no operation.
    @Test func traitsAreThoseOfTheDocumentation() {
        let rows: [String: [Int]] = [
            "add": [0, 1], "multiply": [0, 1], "gate": [0, 1], "scale": [0], "power": [0], "activation": [0], "layer_norm": [0],
            "rms_norm": [0], "quantize": [0], "mean_heads": [0], "unit_rows": [0],
        ]
        for op in samples {
            let payload = op.payload
            if case .matmul(let matmul) = op {
                #expect(payload.rowOperands == [0] + (matmul.addendIndex.map { [$0] } ?? []))
            } else {
                #expect(payload.rowOperands == rows[op.mnemonic], "\(op.mnemonic)")
            }
            let keepsOrder =
                switch op {
                case .attention(let op): !op.isCached
                case .concatenate(let op): op.axis > 0
                case .slice(let op): op.axis > 0
                default: false
                }
            #expect(payload.keepsRowOrder == keepsOrder, "\(op.mnemonic)")
            #expect(
                payload.isProduct == ["matmul", "attention", "window_attention", "patch_attention"].contains(op.mnemonic), "\(op.mnemonic)")
            let called = reductionSamples + patchReductionSamples + rowMergingSamples + coverSamples + calledThresholdSamples
            #expect((payload.callArguments != nil) == called.contains(op), "\(op.mnemonic)")
        }
    }

    /// Quantising once changes nothing but the type of the result, and twice is none.
    @Test func onlyNormsAndGatesQuantise() throws {
        var found: Set<String> = []
        for op in samples {
            guard let quantised = op.payload.quantizing(to: .int8) else { continue }
            found.insert(op.mnemonic)
            #expect(quantised.payload.attributes.map(\.name) == op.payload.attributes.map(\.name) + ["type"])
            #expect(quantised.payload.quantizing(to: .int8) == nil)
        }
        #expect(found == ["gate", "layer_norm", "rms_norm"])
    }
}

@Suite struct AttributeTests {
    private func read<Value>(_ value: Attribute, _ get: (inout AttributeReader) throws(TypeError) -> Value) throws(TypeError) -> Value {
        var reader = AttributeReader(["a": value], labels: [])
        return try get(&reader)
    }

    @Test func conversions() throws {
        #expect(try read(.integer(3)) { r throws(TypeError) in try r.integer("a") } == 3)
        #expect(try read(.integer(3)) { r throws(TypeError) in try r.float("a") } == 3)
        #expect(try read(.float(0.5)) { r throws(TypeError) in try r.float("a") } == 0.5)
        #expect(try read(.integers([1])) { r throws(TypeError) in try r.floats("a") } == [1])
        #expect(try read(.floats([1.5])) { r throws(TypeError) in try r.floats("a") } == [1.5])
        #expect(try read(.symbol("silu")) { r throws(TypeError) in try r.symbol("a", of: ActivationFunction.self) } == .silu)
    }

    @Test func refusals() {
        #expect(throws: TypeError("attribute 'a' is '0.5', not an integer")) {
            try read(.float(0.5)) { r throws(TypeError) in try r.integer("a") }
        }
        #expect(throws: TypeError("attribute 'a' is 'x', not a number")) {
            try read(.symbol("x")) { r throws(TypeError) in try r.float("a") }
        }
        #expect(throws: TypeError("attribute 'a' is '3', not a list of integers")) {
            try read(.integer(3)) { r throws(TypeError) in try r.integers("a") }
        }
        #expect(throws: TypeError("attribute 'a' is '[1.0, 2.5]', not a list of integers")) {
            try read(.floats([1, 2.5])) { r throws(TypeError) in try r.integers("a") }
        }
        #expect(throws: TypeError("attribute 'a' is 'x', not a list of numbers")) {
            try read(.symbol("x")) { r throws(TypeError) in try r.floats("a") }
        }
        #expect(throws: TypeError("attribute 'a' is 'relu'; expected one of gelu, quick_gelu, silu")) {
            try read(.symbol("relu")) { r throws(TypeError) in try r.symbol("a", of: ActivationFunction.self) }
        }
        #expect(throws: TypeError("attribute 'b' is missing")) { try read(.integer(3)) { r throws(TypeError) in try r.integer("b") } }
        #expect(throws: TypeError("unknown attribute 'a'")) {
            try AttributeReader(["b": .integer(1), "a": .integer(1)], labels: []).finish()
        }
    }
}

@Suite struct TensorTypeTests {
    @Test func counts() {
        #expect(f32(2, T, 3).elementCount(SymbolValues(["T": 5])) == 30)
        #expect(f32(2, T, 3).byteCount(SymbolValues(["T": 5])) == 120)
        // Where nothing is said of a symbol, the most.
        #expect(f32(2, T, S).byteCount(SymbolValues(["T": 5])) == 2 * 5 * 16 * 4)
        #expect(f32(2, T, S).byteCount() == 2 * 1024 * 16 * 4)
        #expect(f32(Dimension(20).adding(S.multiplied(by: -1)!)!).byteCount() == 20 * 4)
        #expect(f32(T).elementCount(SymbolValues(["T": 0])) == 0)
        #expect(TensorType(.bfloat16, [3]).byteCount() == 6)
        #expect(u8(3).byteCount() == 3)
        #expect(f32().elementCount() == 1)
        #expect(f32(.fixed(1 << 62)).elementCount() == 1 << 62)
        #expect(f32(.fixed(1 << 62)).byteCount() == nil)
        #expect(f32(.fixed(1 << 32), .fixed(1 << 32)).elementCount() == nil)
    }

    @Test func shapes() {
        #expect(f32(2, 3).fixedShape == [2, 3])
        #expect(f32(2, T).fixedShape == nil)
        #expect(!f32(T).isStatic)
        #expect(f32(2, T, 3).description == "f32[2, T, 3]")
        #expect(f32().description == "f32[]")
        #expect(Array(f32(2, T, 3).rows) == [2, T])
        #expect(f32(T, 3, T.adding(S)!).symbols == [Symbol("T", bound: 1024), Symbol("S", bound: 16)])
        #expect(f32(T.adding(S)!, 3).description == "f32[S + T, 3]")
    }
}
