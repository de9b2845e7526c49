import Testing

@testable import Passes

@Test func splitConcatenationCases() throws { try checkCases(Pipeline.splitConcatenation) }
