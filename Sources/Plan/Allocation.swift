import Support

/// A block of memory and when it holds something: positions on a timeline.
struct Request {
    var byteCount: Int
    var live: [ClosedRange<Int>]

    func overlaps(_ other: Request) -> Bool {
        live.contains { range in other.live.contains { $0.overlaps(range) } }
    }
}

/// Offsets, multiples of 64, such that blocks that are live together do not overlap, and the bytes that all take together.
///
/// Best fit, the largest block first: each goes into the smallest gap between the placed blocks that are live with it. nil on overflow.
func allocate(_ requests: [Request]) -> (offsets: [Int], byteCount: Int)? {
    var offsets = Array(repeating: 0, count: requests.count)
    var placed: [(index: Int, range: Range<Int>)] = []
    var total = 0
    let order = requests.indices.sorted { (requests[$0].byteCount, $1) > (requests[$1].byteCount, $0) }
    for index in order {
        guard let size = roundedUp(requests[index].byteCount, to: 64) else { return nil }
        let taken = placed.filter { requests[$0.index].overlaps(requests[index]) }.map(\.range)
            .sorted { $0.lowerBound < $1.lowerBound }
        var best: (offset: Int, gap: Int)?
        var end = 0
        for range in taken {
            let gap = range.lowerBound - end
            if gap >= size, gap < best?.gap ?? .max { best = (end, gap) }
            end = max(end, range.upperBound)
        }
        let offset = best?.offset ?? end
        let (upper, overflow) = offset.addingReportingOverflow(size)
        if overflow { return nil }
        placed.append((index, offset..<upper))
        offsets[index] = offset
        total = max(total, upper)
    }
    return (offsets, total)
}
