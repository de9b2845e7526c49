import IR
import Support

/// The plan of an optimised, verified module whose functions are `vision`, `project`, `prefill` and `decode` (any of them may be absent).
///
/// `chunk` is the longest sequence of one `prefill` call, at least 1. Throws on another function or signature, on a weight that is not f32, and
/// when a size passes 2^63 bytes.
public func makePlan(_ module: Module, chunk: Int) throws(Diagnostic) -> Plan {
    throw .error("not built yet")
}
