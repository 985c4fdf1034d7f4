// Package hostile makes what nobody should send: bodies that are broken, huge,
// mistaken or made to harm, each with what must hold when it comes in, and
// strings that would like to be more than text.
//
// It decides what is worth trying, by construction and never by chance: the same
// cases in the same order each time. It never asks the code under test what to
// expect. What it makes is tried by its tests, the whole way from the door to
// every sink: `make hostile`.
package hostile
