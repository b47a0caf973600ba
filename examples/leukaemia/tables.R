# Usage: Rscript tables.R FOLDER SEED
# Patients of Chiaretti et al. (Blood 103, 2004, and Clinical Cancer Research 11, 2005), as the package ALL has them:
# B-lineage leukaemia with the fusion gene BCR/ABL, and without any of the known aberrations (NEG). Writes, packed with gzip:
#   patients.csv.gz   every patient, with a column that names the site
#   site-a.csv.gz …   each site's patients without those held out
#   held-out.csv.gz   24 patients, of each site and kind its share
arguments <- commandArgs(trailingOnly = TRUE)
folder <- arguments[1]
seed <- as.integer(arguments[2])
sites <- paste0("site-", c("a", "b", "c", "d"))
held_out <- 24

suppressPackageStartupMessages(library(Biobase))
library(ALL)
data(ALL)
people <- pData(ALL)
kind <- as.character(people$mol.biol)
chosen <- grepl("^B", as.character(people$BT)) & kind %in% c("BCR/ABL", "NEG")
kind <- kind[chosen]
stopifnot(sum(kind == "BCR/ABL") == 37, sum(kind == "NEG") == 42, nrow(exprs(ALL)) == 12625)

RNGkind("Mersenne-Twister", "Inversion", "Rejection")
set.seed(seed)
shuffled <- function(x) x[sample.int(length(x))]
# each kind is dealt in turn, the second from where the first one ended
site <- character(length(kind))
site[shuffled(which(kind == "BCR/ABL"))] <- rep_len(sites, 37)
site[shuffled(which(kind == "NEG"))] <- rep_len(rev(sites), 42)
# so many of some groups, of each its share: rounded down, and the rest by the largest remainders
shares <- function(sizes, n) {
  share <- n * sizes / sum(sizes)
  count <- floor(share)
  more <- order(share - count, decreasing = TRUE)[seq_len(n - sum(count))]
  count[more] <- count[more] + 1
  count
}
kinds <- split(seq_along(kind), kind)
out <- unlist(Map(function(rows, n) {
  of_site <- split(rows, site[rows])
  unlist(Map(function(rows, n) shuffled(rows)[seq_len(n)], of_site, shares(lengths(of_site), n)))
}, kinds, shares(lengths(kinds), held_out)))

genes <- t(exprs(ALL)[, chosen])
numbers <- matrix(formatC(genes, format = "f", digits = 6), nrow = nrow(genes))
text <- cbind(rownames(people)[chosen], site, kind, numbers)
header <- paste(c("patient", "site", "diagnosis", colnames(genes)), collapse = ",")
write <- function(name, rows) {
  file <- gzfile(file.path(folder, paste0(name, ".csv.gz")), "w")
  writeLines(c(header, apply(text[sort(rows), , drop = FALSE], 1, paste, collapse = ",")), file)
  close(file)
  cat(sprintf("%-9s %3d patients, %2d of them BCR/ABL\n", name, length(rows), sum(kind[rows] == "BCR/ABL")))
}
write("patients", seq_along(kind))
for (name in sites) write(name, setdiff(which(site == name), out))
write("held-out", out)
