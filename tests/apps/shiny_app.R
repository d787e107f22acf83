# The same app as ../clients/shiny_app.py, in R: who the visitor is, and an echo.
#
# Start: Rscript shiny_app.R PORT

library(shiny)

ui <- fluidPage(
  tags$p("Shiny sees you as ", textOutput("who", inline = TRUE)),
  textInput("word", "Word", ""),
  textOutput("echo")
)

server <- function(input, output, session) {
  # httpuv names the field as CGI does; a repeated one is joined by commas.
  output$who <- renderText({
    name <- session$request$HTTP_X_AUTH_USERNAME
    if (is.null(name)) "nobody" else name
  })
  output$echo <- renderText({
    req(input$word)
    paste("echo:", input$word)
  })
}

port <- as.integer(commandArgs(trailingOnly = TRUE)[1])
runApp(shinyApp(ui, server), host = "127.0.0.1", port = port, launch.browser = FALSE)
