import Support

extension Module {
    /// Checks every rule of the IR; throws the first that is broken, at the operation. `after` names the pass that just ran.
    ///
    /// Rules: names are unique and defined before use; operand and result types follow the operations' own rules; a state stands exactly
    /// where an operation takes one; a symbol is one of the module's, counted by at most one operation, and stands in no weight or state; folded definitions read only weights
    /// defined before them.
    /// At stage `optimized` nothing is materialised that an index map, a view or a streaming kernel does (`verifyOptimized`).
    public func verify(after pass: String? = nil) throws(Diagnostic) {
        do throws(Diagnostic) {
            try verifySymbols()
            try verifyCounts()
            try verifyWeights()
            for (name, type) in states
            where !type.isStatic || !isSound(type) || ![.float32, .bfloat16, .int32, .float16, .int8Heads].contains(type.dtype) {
                throw broken("state '&\(name)' is \(type); expected f32, bf16, f16, i32 or q8h in a static shape", at: "&\(name)")
            }
            var names: Set<String> = []
            for function in functions {
                if !names.insert(function.name).inserted { throw broken("function '\(function.name)' is defined twice", at: function.name) }
                try verify(function)
                if stage == .optimized { try verifyOptimized(function) }
            }
        } catch {
            var error = error
            if let pass { error.notes.append("after pass '\(pass)'") }
            throw error
        }
    }

    private func broken(_ message: String, at place: String) -> Diagnostic { .error(message, at: .operation(place)) }

    private func verifySymbols() throws(Diagnostic) {
        var names: Set<String> = []
        for symbol in symbols {
            if !Symbol.isName(symbol.name) {
                throw broken(
                    "symbol '\(symbol.name)' has no name for a dimension; expected a letter, then letters, digits and '_'", at: symbol.name)
            }
            if !names.insert(symbol.name).inserted { throw broken("symbol '\(symbol.name)' is declared twice", at: symbol.name) }
            if !Symbol.bounds.contains(symbol.bound) {
                throw broken(
                    "symbol '\(symbol.name)' is at most \(symbol.bound); expected 1 to \(Symbol.bounds.upperBound)", at: symbol.name)
            }
        }
    }

    /// What an operation counts is a symbol of the module, with the bound that the operation gives it, and is counted once.
    private func verifyCounts() throws(Diagnostic) {
        var counted: Set<String> = []
        for function in functions {
            for operation in function.operations {
                guard let count = operation.op.payload.definedCount else { continue }
                let place = "\(function.name): %\(operation.name)"
                if !counted.insert(count).inserted { throw broken("the symbol '\(count)' is counted a second time", at: place) }
                let types = function.parameters.map(\.type) + function.operations.prefix { $0.name != operation.name }.compactMap(\.type)
                if let early = types.first(where: { $0.symbols.contains { $0.name == count } }) {
                    throw broken("the symbol '\(count)' is counted behind \(early)", at: place)
                }
                if let symbol = operation.type?.shape.first?.symbols.first, !symbols.contains(symbol) {
                    throw broken(
                        "the symbol '\(count)' is at most \(symbol.bound) here; expected one of the module with that bound", at: place)
                }
            }
        }
    }

    /// Numbers of at least 1, symbols that are the module's, and at most 2^63 bytes in all, with which the type rules cannot overflow.
    private func isSound(_ type: TensorType) -> Bool {
        type.shape.allSatisfy { $0.fixedValue.map { $0 > 0 } ?? ($0.least ?? -1 >= 0 && $0.symbols.allSatisfy(symbols.contains)) }
            && type.byteCount() != nil
    }

    private func verifyWeights() throws(Diagnostic) {
        var defined: Set<String> = []
        for (name, weight) in weights {
            let place = "@\(name)"
            guard weight.type.isStatic, isSound(weight.type) else {
                throw broken("weight '\(place)' is \(weight.type); expected a static shape of at most 2^63 bytes", at: place)
            }
            switch weight.definition {
            case .source(let source):
                guard source.type.isStatic, isSound(source.type), source.type.elementCount() == weight.type.elementCount() else {
                    throw broken("weight '\(place)' is \(weight.type), but its source '\(source.name)' is \(source.type)", at: place)
                }
            case .folded(let operations):
                guard let last = operations.last, last.type == weight.type else {
                    throw broken(
                        "weight '\(place)' is \(weight.type), but its definition ends in \(operations.last?.type.map(\.description) ?? "nothing")",
                        at: place)
                }
                var environment = TypeEnvironment(self)
                for operation in operations {
                    for case .weight(let read) in operation.operands where !defined.contains(read) {
                        throw broken("definition of '\(place)' reads '@\(read)', which is not defined before it", at: place)
                    }
                    if operation.op.hasEffect {
                        throw broken("'\(operation.op.mnemonic)' has an effect and may not stand in a weight", at: place)
                    }
                    try verify(operation, in: &environment, place: place)
                }
            }
            defined.insert(name)
        }
    }

    private func verify(_ function: Function) throws(Diagnostic) {
        var environment = TypeEnvironment(self, function)
        if Set(function.parameters.map(\.name)).count != function.parameters.count {
            throw broken("two parameters of '\(function.name)' share a name", at: function.name)
        }
        for parameter in function.parameters where !isSound(parameter.type) {
            throw broken(
                "parameter '%\(parameter.name)' is \(parameter.type); expected a shape of the module's symbols that is never negative, of at most 2^63 bytes",
                at: function.name)
        }
        for operation in function.operations {
            try verify(operation, in: &environment, place: "\(function.name): %\(operation.name)")
        }
        for result in function.results {
            guard environment[result] != nil else { throw broken("result '\(result)' is not defined", at: function.name) }
            if case .state = result { throw broken("result '\(result)' is a state; expected a value", at: function.name) }
        }
    }

    /// No tensor holds gathered windows, taps side by side, scores, or key heads that are repeated for their query heads. The last three are
    /// a concatenation along another dimension than the rows, or a product of two values.
    private func verifyOptimized(_ function: Function) throws(Diagnostic) {
        for operation in function.operations {
            let place = "\(function.name): %\(operation.name)"
            guard let fault = operation.op.payload.optimizedFault(operation.operands) else { continue }
            let what = fault.what.map { "\($0) " } ?? ""
            throw broken("'\(operation.op.mnemonic)' \(what)at stage 'optimized'; expected \(fault.expected)", at: place)
        }
    }

    private func verify(_ operation: Operation, in environment: inout TypeEnvironment, place: String) throws(Diagnostic) {
        let payload = operation.op.payload
        for (name, value) in payload.attributes where !value.isFinite {
            throw broken("'\(operation.op.mnemonic)' attribute '\(name)' is '\(value)', not a finite number", at: place)
        }
        let expected: Operation
        do throws(TypeError) {
            expected = try makeOperation(operation.name, operation.op, operation.operands) { environment[$0] }
        } catch {
            throw broken("'\(operation.op.mnemonic)' \(error.message)", at: place)
        }
        guard expected.type == operation.type else {
            let (have, want) = (operation.type.map(\.description) ?? "none", expected.type.map(\.description) ?? "none")
            throw broken("'\(operation.op.mnemonic)' has type \(have); expected \(want)", at: place)
        }
        for (index, operand) in operation.operands.enumerated() where operand.isState != payload.stateOperands.contains(index) {
            throw broken(
                operand.isState
                    ? "'\(operation.op.mnemonic)' does not take the state '\(operand)'"
                    : "operand \(index) is '\(operand)'; expected a state",
                at: place)
        }
        guard environment.define(operation) else { throw broken("name '%\(operation.name)' is defined twice", at: place) }
    }
}
