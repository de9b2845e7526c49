import IR

extension Function {
    /// Of a `step` that cuts caches, for each block by the name of its lengths: the place of its rows among the lists that it says it has kept, -1
    /// where it runs on all. Nil of other functions.
    func blockPoints(_ lengths: [String]) -> [Int]? {
        guard operations.contains(where: \.op.payload.cutsCaches) else { return nil }
        func list(_ operand: Operand) -> Operand? {
            let gather = operations.first { $0.result == operand }
            if let gather, case .gatherRows = gather.op { return gather.operands[1] }
            return nil
        }
        var points: [Operand] = []
        for operation in operations {
            if case .visionIndices = operation.op { points = operation.operands.compactMap(list) }
        }
        return lengths.map { name in
            let reserve = operations.first { operation in
                if case .reserve = operation.op { operation.operands[0] == .state(name) } else { false }
            }
            return reserve.flatMap { list($0.operands[1]) }.flatMap(points.firstIndex) ?? -1
        }
    }
}
