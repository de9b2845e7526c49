import IR

extension Function {
    /// Where the rows of each block, which the name of its lengths says, stand among the lists of what a `step` has kept that cuts caches: -1 where
    /// it runs on all. Nil for other functions.
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
