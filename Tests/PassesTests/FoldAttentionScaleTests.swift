import Testing

@testable import Passes

@Test func foldAttentionScaleCases() throws { try checkCases(Pipeline.foldAttentionScale) }
