import IR

extension Plan {
    /// What a program takes of each kind of memory, in bytes.
    public struct Resident: Hashable, Sendable {
        /// Weights that some function reads whole
        public var weights = 0
        /// Tables of which only rows are taken
        public var tables = 0
        /// Keys and values of the whole context in one slot
        public var cache = 0
        /// Tower and projector at work: activations, the image and its vision tokens
        public var image = 0
        /// A whole chunk of prompt at work: activations, tokens and logits
        public var chunk = 0

        /// Whether others go on with their answers while the tower is at work
        public var together = false

        /// Image and chunk use the same memory one after the other, or each its own.
        public var working: Int { together ? image + chunk : max(image, chunk) }
    }

    public var resident: Resident {
        var read: Set<String> = []
        for body in entries.map(\.body) + layers.map(\.body) {
            for case .run(let kernel, _, let inputs, _) in body.steps {
                for (index, input) in inputs.enumerated() {
                    guard case .weight(let name) = body.buffers[input].place else { continue }
                    if case .embed = kernel.computation, index == 1 { continue }
                    read.insert(name)
                }
            }
            // What a caller passes to a layer or lays views over is read as well.
            for case .call(_, _, _, let arguments) in body.steps {
                for argument in arguments { if case .weight(let name) = body.buffers[argument].place { read.insert(name) } }
            }
            for buffer in body.buffers {
                if case .inside(let parent, _) = buffer.place, case .weight(let name) = body.buffers[parent].place {
                    read.insert(name)
                }
            }
        }
        let inTables = Set(
            tables.flatMap { table in
                table.fields.indices.filter { table.fields[$0].kind == .weight }.flatMap { column in table.rows.map { $0[column] } }
            })
        var result = Resident()
        for weight in weights {
            if read.contains(weight.name) || inTables.contains(weight.offset) {
                result.weights += weight.byteCount
            } else {
                result.tables += weight.byteCount
            }
        }
        result.cache = slots.cacheBytes
        result.together = slots.count > 1
        for region in regions {
            switch region.role {
            case .entry(.image), .entry(.question), .entry(.bars), .entry(.projected), .entry(.keyRows): result.image += region.byteCount
            case .entry(.tokens), .entry(.slots), .entry(.positions), .entry(.wanted): result.chunk += region.byteCount
            // A sequence that goes on wants the logits of one row.
            case .entry(.logits): result.chunk += vocabulary * 4
            // As many vision rows as a question has images.
            case .entry(.visionRows), .entry(.protectedRows), .entry(.selected), .entry(.kept), .counts, .scratch, .state: break
            }
        }
        for timeline in timelines where timeline.entries.contains(.vision) { result.image += timeline.byteCount }
        let chunk = timelines.filter { $0.entries.contains(.step) || $0.entries.contains(.decode) }
        result.chunk += chunk.map(\.byteCount).max() ?? 0
        return result
    }

    /// nil without a cache.
    public var cacheType: KeyValueType? {
        slots.caches.first.flatMap { cache in regions.first { $0.role == .state && $0.name == cache.name }?.type }.flatMap {
            KeyValueType($0.dtype)
        }
    }
}
