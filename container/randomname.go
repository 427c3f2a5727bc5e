package container

import "strings"

// RandomName returns adjective_surname. intn(n) is a random number below n,
// as math/rand/v2.IntN gives.
func RandomName(intn func(n int) int) string {
	a, s := strings.Fields(adjectives), strings.Fields(surnames)
	return a[intn(len(a))] + "_" + s[intn(len(s))]
}

const adjectives = `
able agile airy alert amber ample apt arctic azure balmy bold brave breezy
bright brisk bronze calm candid careful cheery civil clear clever coastal
copper coral cordial cosmic crisp curious daring deft dewy diligent dreamy
driven eager early earnest easy elated elegant equable exact fair famed
fearless festive fleet fluent fond frank free fresh frosty gallant gentle
glad gleaming golden graceful grand grateful green hale handy happy hardy
hearty honest hopeful humble icy ideal intent jaunty jolly jovial joyful
keen kind lively loyal lucid lucky lunar mellow merry mild mindful mirthful
misty modest mossy neat nifty nimble noble northern patient peaceful pensive
placid playful plucky polite prime proud prudent quick quiet ready regal
robust rosy rustic sage sandy serene sharp silent silver sincere sleek smart
snowy snug solar solid southern spry stable starry steady stellar stoic
sturdy subtle sunlit sunny supple sure swift tactful tall tender thrifty
tidal tidy tranquil trim true trusty upbeat valiant vast vivid warm wary
watchful western whimsical wise witty woven young zealous zesty`

// People of science, engineering and seafaring.
const surnames = `
abel adleman alhazen amundsen apgar archimedes aristarchus avicenna avogadro
babbage banach banneker bardeen bassi bell bernoulli bessel bohr bombelli
boole born bose bowditch boyle brahe brahmagupta brunel cabot cantor carnot
carver cauchy cavendish celsius chandrasekhar chatelet chebyshev chladni
church clarke clavius cook copernicus coulomb cousteau crick curie dalton
darwin davy descartes dijkstra diophantus dirac doppler drake earhart edison
einstein erdos eratosthenes euclid euler fahrenheit faraday fermat fermi
feynman fibonacci fleming floyd foucault fourier franklin frege fresnel
galileo galois galvani gauss germain gilbert goedel golgi gosset haber
halley hamilton harrison harvey heaviside heisenberg henry hero herschel
hertz heyerdahl hilbert hipparchus hodgkin hooke hopper hubble huffman
humboldt huygens hypatia jenner johnson joule kalman kapitza kelvin kepler
khayyam khwarizmi kirchhoff klein koch kolmogorov kovalevskaya lagrange
lamarr lamport landau laplace lavoisier leavitt leeuwenhoek legendre leibniz
lie linnaeus lister lorenz lovelace lyapunov magellan mandelbrot marconi
markov maxwell mcclintock meitner mendel mendeleev mercator michelson
minkowski mirzakhani moebius monge morse nansen napier nash neumann newton
nightingale nobel noether ockham oersted ohm oresme ostrom papin pascal
pasteur pauli pauling payne perlman planck poincare poisson priestley
ptolemy pythagoras raman ramanujan rayleigh riemann ritchie roentgen rubin
rutherford sagan salk scott seaborg shackleton shannon snell somerville
stevin stokes sturgeon swan tarski tesla thales thompson torricelli tsiolkovsky
turing varahamihira verne volta wallace wallis watt weber wegener weierstrass
whitworth wiener wilkes wozniak wren wright wu yalow young yukawa zeno zuse`
