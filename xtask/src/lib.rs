//! Benchmarks and checks that need more than a test
