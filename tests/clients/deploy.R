# Publishes a small static site with R's rsconnect, as a user's R would: adds the server, connects
# the user (a token that the user claims in the browser), deploys. See README.md for the variables.

library(rsconnect)

url <- Sys.getenv("CONNECT_URL")
user <- Sys.getenv("CONNECT_USER", "alice")
password <- Sys.getenv("CONNECT_PASSWORD")
ca <- Sys.getenv("CONNECT_CA")
stopifnot(nzchar(url))
if (nzchar(ca)) Sys.setenv(RSCONNECT_CA_BUNDLE = ca, CURL_CA_BUNDLE = ca)

# Accounts and deployment records go to a scratch home that ends with this process.
home <- file.path(tempdir(), "home")
dir.create(home)
Sys.setenv(HOME = home, R_USER_CONFIG_DIR = home, XDG_CONFIG_HOME = home)

# Plays the browser: the claim page, visited by a user who is logged in. With a password the gateway
# logs the user in; without one we stand at the back-end and say who it is, as the gateway would.
claim <- function(claim_url) {
  token <- sub(".*#/tokens/([^/]+).*", "\\1", claim_url)
  who <- if (nzchar(password)) {
    c("--user", shQuote(paste0(user, ":", password)))
  } else {
    c("--header", shQuote(paste0("X-Auth-Username: ", user)))
  }
  target <- paste0(sub("/$", "", url), "/__double__/claim?token=", token)
  status <- system2("curl", c("--silent", "--show-error", "--fail", "--output", "/dev/null",
                              "--request", "POST", who, shQuote(target)))
  if (status != 0) stop("the token could not be claimed at ", target)
}

settings <- rsconnect:::validateServerUrl(url)
if (!isTRUE(settings$valid)) stop("not a Connect server: ", settings$message)

addConnectServer(sub("/$", "", url), name = "tested", quiet = TRUE)
connectUser(server = "tested", launch.browser = claim, quiet = TRUE)
account <- accounts(server = "tested")$name
stopifnot(identical(account, user))

site <- file.path(tempdir(), "site")
dir.create(site)
writeLines("<!DOCTYPE html><title>site</title><p>Published by R.</p>", file.path(site, "index.html"))
size <- as.numeric(Sys.getenv("BUNDLE_BYTES", "0"))
# Bytes that do not compress.
if (size > 0) writeBin(openssl::rand_bytes(size), file.path(site, "data.bin"))

deployed <- deployApp(site, appPrimaryDoc = "index.html", appName = "site-of-r", account = account,
                      server = "tested", forceUpdate = TRUE, lint = FALSE, launch.browser = FALSE)
if (!isTRUE(deployed)) stop("the deployment failed")
cat("DEPLOYED by R rsconnect", format(packageVersion("rsconnect")), "\n")
